# SPDX-License-Identifier: GPL-3.0-or-later
"""Flavours: named kernels, read from labs/_kernels/flavours.yml.

A flavour is built by klab from a source and fragments, or fetched as Debian built it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from klab import described
from klab.errors import KlabError
from klab.kernel import root
from klab.kernel.fragment import Request, combine
from klab.paths import repo_dir

STEP = "kernel_build: read flavours"


@dataclass(frozen=True)
class Source:
    """A pinned source: where it comes from, its version, what identifies its content.

    Provider `debian` takes `package` from `suite`; `tarball` takes `url`, a path or a URL,
    with `signature` made by `key`; both are identified by `sha256`. `git` takes `commit`
    from `url`. `patches` are applied in their order.
    """

    name: str
    provider: str
    version: str
    sha256: str = ""
    package: str = ""
    suite: str = ""
    url: str = ""
    signature: str = ""
    key: str = ""
    commit: str = ""
    patches: tuple[Path, ...] = ()

    @property
    def id(self) -> str:
        """What it is, for people: `linux-source-6.12 6.12.117-1`."""
        return f"{self.package or Path(self.url).name} {self.version}"

    @property
    def release(self) -> str:
        """The kernel's version without the packager's: `6.12.117`."""
        return self.version.partition("-")[0]


@dataclass(frozen=True)
class Flavour:
    """A named kernel. promises: what a running one must show; boots: `debian` or `guest`."""

    name: str
    why: str
    cmdline: tuple[str, ...]
    promises: tuple[str, ...]
    boots: str

    @property
    def toolchain(self) -> str:
        """The toolchain that its modules are built with."""
        return root.GCC


@dataclass(frozen=True)
class Built(Flavour):
    """A kernel that klab compiles.

    own: whether the fragments are a student's, who owes nobody reasons or an order.
    objects: compilations to expect, for the first progress bar.
    """

    source: Source
    compiler: str
    base: str
    fragments: tuple[Path, ...]
    own: bool
    objects: int

    @property
    def toolchain(self) -> str:
        """The toolchain that compiles it and its modules."""
        return self.compiler

    def requests(self) -> dict[str, Request]:
        """The symbols asked of it, by name. Raises KlabError where fragments are at odds."""
        return combine(self.fragments, self.source.release, tidy=not self.own)


@dataclass(frozen=True)
class Packages:
    """Binary packages of one version in a suite: {name: SHA-256}."""

    suite: str
    version: str
    sums: Mapping[str, str]


@dataclass(frozen=True)
class Fetched(Flavour):
    """A kernel that Debian has built."""

    packages: Packages


def kernels_dir() -> Path:
    """labs/_kernels of this checkout, or the folder named by KLAB_KERNELS (tests)."""
    return Path(os.environ.get("KLAB_KERNELS") or repo_dir() / "labs/_kernels")


@cache
def read(folder: Path) -> dict[str, Any]:
    """flavours.yml of a folder as checked data."""
    return described.read(folder / "flavours.yml", "flavours", STEP)


def names() -> list[str]:
    """All flavours, in the order of the file."""
    return list(read(kernels_dir())["flavours"])


def load(name: str, own: Sequence[Path] = ()) -> Built | Fetched:
    """The flavour `name`, made of the fragments `own` instead of its own if there are any.

    Raises KlabError for an unknown flavour, source or fragment, and for `own` where the
    flavour takes none.
    """
    data = read(kernels_dir())
    if name not in data["flavours"]:
        near = difflib.get_close_matches(name, data["flavours"], n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise KlabError(
            f"there is no kernel flavour '{name}'",
            step=STEP,
            mend=f"{hint}flavours: {', '.join(data['flavours'])} (labs/_kernels/flavours.yml)",
        )
    body = data["flavours"][name]
    if own and not body.get("takes_fragments"):
        takes = [key for key, other in data["flavours"].items() if other.get("takes_fragments")]
        raise KlabError(
            f"flavour '{name}' is made of its own fragments only",
            step=STEP,
            mend=f"give yours to one of: {', '.join(takes) or 'none'}",
        )
    return _fetched(name, body) if "packages" in body else _built(name, body, data["sources"], own)


def _fetched(name: str, body: Mapping[str, Any]) -> Fetched:
    pinned = body["packages"]
    packages = Packages(pinned["suite"], pinned["version"], pinned["names"])
    return Fetched(*_common(name, body), packages=packages)


def _built(name: str, body: Mapping[str, Any], sources: Mapping[str, Any], own: Sequence[Path]) -> Built:
    folder = kernels_dir() / "fragments"
    return Built(
        *_common(name, body),
        source=_source(name, body["source"], sources),
        compiler=_compiler(name, body.get("toolchain", root.GCC)),
        base=body["base"],
        fragments=_present(name, own or [folder / f"{part}.config" for part in body["fragments"]]),
        own=bool(own),
        objects=body["objects"],
    )


def _common(name: str, body: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...], tuple[str, ...], str]:
    """What every flavour has, in the order of its fields."""
    promises, boots = tuple(body.get("promises", ())), body.get("boots", "guest")
    return name, body["why"], tuple(body["cmdline"]), promises, boots


def built(name: str, own: Sequence[Path] = ()) -> Built:
    """The flavour `name`, as one that klab builds. Raises KlabError when it is fetched."""
    flavour = load(name, own)
    if isinstance(flavour, Built):
        return flavour
    raise KlabError(
        f"flavour '{name}' is fetched as Debian built it: it has no source and no fragments here",
        step=STEP,
        mend=f"klab kernel build --flavour {name} fetches it",
    )


def _compiler(flavour: str, toolchain: str) -> str:
    if toolchain in root.toolchains():
        return toolchain
    raise KlabError(
        f"flavour '{flavour}' names the toolchain '{toolchain}', which does not exist",
        step=STEP,
        mend=f"toolchains: {', '.join(root.toolchains())} (labs/_kernels/toolchain.yml)",
    )


def _source(flavour: str, name: str, sources: Mapping[str, Any]) -> Source:
    if name not in sources:
        raise KlabError(
            f"flavour '{flavour}' names the source '{name}', which does not exist",
            step=STEP,
            mend=f"sources: {', '.join(sources)}",
        )
    body = dict(sources[name])
    patches = tuple(kernels_dir() / "patches" / patch for patch in body.pop("patches", ()))
    return Source(name=name, patches=patches, **body)


def _present(flavour: str, fragments: Iterable[Path]) -> tuple[Path, ...]:
    paths = tuple(fragments)
    for path in paths:
        if not path.is_file():
            raise KlabError(
                f"flavour '{flavour}' names the fragment {path.name}, which does not exist",
                step=STEP,
                mend=f"write {path}, or mend the list of the flavour",
            )
    return paths
