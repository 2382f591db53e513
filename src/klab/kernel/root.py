# SPDX-License-Identifier: GPL-3.0-or-later
"""The build root: a Debian toolchain in a folder, and how to run things in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from klab import debtree, described, namespace, store
from klab import digest as digests
from klab.errors import KlabError
from klab.paths import log_dir, repo_dir
from klab.progress import remember

KIND = "roots"
RECIPE = 1  # raise when this file changes what a root contains
GCC = "gcc"  # the toolchain of a flavour that names none, and the root of all other work
STEP = "build_root: read toolchains"


@dataclass(frozen=True)
class Wanted:
    """A root as labs/_kernels/toolchain.yml describes it.

    decisive: packages whose versions can change a kernel's bytes. make: words that tell
    the kernel's make of this toolchain.
    """

    name: str
    suite: str
    packages: set[str]
    decisive: set[str]
    make: tuple[str, ...]


@dataclass(frozen=True)
class Toolroot:
    """A place where build tools run: a build root, or this host (path None, tests only).

    versions: of the packages that can change a kernel's bytes.
    binds: folders shown inside, {"/inside": host path}.
    make: words for the kernel's make, such as LLVM=1.
    """

    path: Path | None
    versions: Mapping[str, str] = field(default_factory=dict)
    binds: Mapping[str, Path] = field(default_factory=dict)
    make: tuple[str, ...] = ()

    @property
    def cc(self) -> str:
        """The C compiler."""
        return "clang" if "LLVM=1" in self.make else "gcc"

    def with_binds(self, pairs: Mapping[str, Path]) -> Toolroot:
        """The same root with more folders shown inside."""
        return replace(self, binds={**self.binds, **pairs})

    def inside(self, name: str) -> str:
        """The path by which tools see the bound folder `name`."""
        return name if self.path else str(self.binds[name])

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        """The command line that runs `argv` there."""
        return namespace.chroot(self.path, argv) if self.path else [str(word) for word in argv]

    def env(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment for `argv`."""
        shown = namespace.binds(self.binds) if self.path and self.binds else {}
        return {**shown, **(extra or {})}


def _data() -> dict[str, Any]:
    return described.read(repo_dir() / "labs/_kernels/toolchain.yml", "toolchain", STEP)


def toolchains() -> list[str]:
    """The toolchains that can compile a kernel."""
    return list(_data()["toolchains"])


def wanted(name: str = GCC) -> Wanted:
    """What root `name` is made of. Raises KlabError when there is no such root."""
    data = _data()
    whole = {**data["tools"], **data["toolchains"]}
    if name not in whole:
        raise KlabError(
            f"there is no build root '{name}'",
            step=STEP,
            mend=f"roots: {', '.join(whole)} (labs/_kernels/toolchain.yml)",
        )
    body = whole[name]
    packages, decisive = set(body["packages"]), set(body.get("decisive", ()))
    if "extends" in body:
        base = wanted(body["extends"])
        packages, decisive = packages | base.packages, decisive | base.decisive
    return Wanted(name, data["suite"], packages, decisive, tuple(body.get("make", ())))


def digest(name: str = GCC) -> str:
    """The digest of what is asked for: suite, packages and this recipe."""
    asked = wanted(name)
    return digests.of_data([RECIPE, asked.suite, sorted(asked.packages)])


def find(name: str = GCC) -> store.Entry | None:
    """The build root, or None when it must be made."""
    return store.find(KIND, digest(name))


def ensure(name: str = GCC) -> store.Entry:
    """The build root, made now unless it is in the cache (about a minute)."""
    if entry := find(name):
        return entry
    asked = wanted(name)
    log = log_dir() / f"build_root-{name}.log"
    with store.drafting(KIND, digest(name)) as draft:
        tree = draft.path / "tree"
        used = debtree.make(asked.suite, sorted(asked.packages), tree, log=log, step="build_root: bootstrap")
        versions = debtree.versions(tree)
        (draft.path / "packages.txt").write_text("".join(f"{n} {v}\n" for n, v in versions.items()))
        entry = draft.publish(
            {
                "toolchain": name,
                "suite": asked.suite,
                "versions": versions,
                "wall_s": used.wall_s,
                "cpu_s": used.cpu_s,
                "rebuild": f"klab root build --toolchain {name}",
            },
            ["packages.txt"],
        )
    remember("build_root", name, used.wall_s, used.cpu_s)
    return entry


def on_host() -> bool:
    """Whether this host's own tools are used (KLAB_BUILD_ROOT=host): only for tests
    with a fake kernel tree, never for a kernel."""
    return os.environ.get("KLAB_BUILD_ROOT") == "host"


def _tools(entry: store.Entry, name: str) -> Toolroot:
    asked, versions = wanted(name), entry.manifest["versions"]
    decisive = {package: versions[package] for package in asked.decisive if package in versions}
    return Toolroot(entry.path / "tree", decisive, make=asked.make)


def current(name: str = GCC) -> Toolroot | None:
    """The tools of the build root that is there, or None when it must be made."""
    if on_host() and name in toolchains():
        return Toolroot(None, {"host": "tests"}, make=wanted(name).make)
    entry = find(name)
    return _tools(entry, name) if entry else None


def ready(name: str = GCC) -> Toolroot:
    """The tools of the build root, which is made first unless it is there."""
    return current(name) or _tools(ensure(name), name)
