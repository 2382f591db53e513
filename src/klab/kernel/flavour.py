# SPDX-License-Identifier: GPL-3.0-or-later
"""Flavours: named kernels, read from labs/_kernels/flavours.yml."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from klab.errors import KlabError
from klab.paths import repo_dir

STEP = "kernel_build: read flavours"


@dataclass(frozen=True)
class Source:
    """A pinned source: where it comes from, its version and its file's SHA-256.

    Provider `debian` takes `package` from `suite`; `tarball` takes `url`, a path or a URL.
    """

    name: str
    provider: str
    version: str
    sha256: str
    package: str = ""
    suite: str = ""
    url: str = ""

    @property
    def id(self) -> str:
        """What it is, for people: `linux-source-6.12 6.12.117-1`."""
        return f"{self.package or Path(self.url).name} {self.version}"


@dataclass(frozen=True)
class Flavour:
    """A named kernel. objects: compilations to expect, for the first progress bar."""

    name: str
    why: str
    source: Source
    base: str
    fragments: tuple[Path, ...]
    cmdline: tuple[str, ...]
    objects: int


def kernels_dir() -> Path:
    """labs/_kernels of this checkout, or the folder named by KLAB_KERNELS (tests)."""
    return Path(os.environ.get("KLAB_KERNELS") or repo_dir() / "labs/_kernels")


@cache
def read(folder: Path) -> dict[str, Any]:
    """flavours.yml of a folder as checked data."""
    path = folder / "flavours.yml"
    schema = json.loads((repo_dir() / "labs/_schema/flavours.json").read_text())
    try:
        data = yaml.safe_load(path.read_text())
        jsonschema.validate(data, schema)
    except (yaml.YAMLError, jsonschema.ValidationError) as error:
        where = "/".join(str(part) for part in getattr(error, "absolute_path", ()))
        said = getattr(error, "message", str(error))
        raise KlabError(
            f"{path}: {where}: {said}", step=STEP, mend="see labs/_schema/flavours.json"
        ) from None
    return dict(data)


def names() -> list[str]:
    """All flavours, in the order of the file."""
    return list(read(kernels_dir())["flavours"])


def load(name: str) -> Flavour:
    """The flavour `name`. Raises KlabError for an unknown flavour, source or fragment."""
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
    if body["source"] not in data["sources"]:
        raise KlabError(
            f"flavour '{name}' names the source '{body['source']}', which does not exist",
            step=STEP,
            mend=f"sources: {', '.join(data['sources'])}",
        )
    folder = kernels_dir() / "fragments"
    fragments = tuple(folder / f"{part}.config" for part in body["fragments"])
    for path in fragments:
        if not path.is_file():
            raise KlabError(
                f"flavour '{name}' names the fragment {path.name}, which does not exist",
                step=STEP,
                mend=f"write {path}, or mend the list of the flavour",
            )
    return Flavour(
        name=name,
        why=body["why"],
        source=Source(name=body["source"], **data["sources"][body["source"]]),
        base=body["base"],
        fragments=fragments,
        cmdline=tuple(body["cmdline"]),
        objects=body["objects"],
    )
