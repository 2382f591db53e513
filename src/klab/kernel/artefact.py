# SPDX-License-Identifier: GPL-3.0-or-later
"""The artefact of a flavour: its digest, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klab import digest as digests
from klab import store
from klab.errors import KlabError
from klab.kernel import cached, root, source
from klab.kernel import flavour as flavours

RECIPE = 1  # raise when the way kernels are built changes their bytes
# The artefact's files and where a build leaves them below its output folder.
FILES = {
    "bzImage": "arch/x86/boot/bzImage",
    "vmlinux": "vmlinux",
    "config": ".config",
    "System.map": "System.map",
}
GDB_SCRIPTS = "gdb-scripts.tar"


@dataclass(frozen=True)
class Plan:
    """What a built flavour's kernel is made of, and the digest that follows from it."""

    flavour: flavours.Built
    inputs: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class Order:
    """What a fetched flavour's kernel consists of, and the digest that follows from it."""

    flavour: flavours.Fetched
    inputs: dict[str, Any]
    digest: str


def plan(name: str, versions: Mapping[str, str], own: Sequence[Path] = ()) -> Plan:
    """The plan of flavour `name` with tools of these versions.

    Of the fragments only names and values count, in their order: a better comment
    is no reason to compile, and the command line is the machine's affair.
    """
    flavour = flavours.built(name, own)
    inputs = {
        "recipe": RECIPE,
        "flavour": name,
        "source": source.digest(flavour.source),
        "base": flavour.base,
        "symbols": [[request.name, request.value] for request in flavour.requests().values()],
        "toolchain": dict(versions),
    }
    return Plan(flavour, inputs, digests.of_data(inputs))


def order(flavour: flavours.Fetched) -> Order:
    """The plan of a kernel that is fetched: these packages, and nothing of ours."""
    pinned = flavour.packages
    inputs = {
        "recipe": RECIPE,
        "flavour": flavour.name,
        "version": pinned.version,
        "packages": dict(pinned.sums),
    }
    return Order(flavour, inputs, digests.of_data(inputs))


def find(name: str, own: Sequence[Path] = ()) -> store.Entry | None:
    """The artefact of a flavour as it is described now, or None when it must be made.

    Raises KlabError for an unknown flavour.
    """
    flavour = flavours.load(name, own)
    if isinstance(flavour, flavours.Fetched):
        return store.find(cached.KIND, order(flavour).digest)
    tools = root.current(flavour.toolchain)
    return store.find(cached.KIND, plan(name, tools.versions, own).digest) if tools else None


def get(name: str, own: Sequence[Path] = ()) -> store.Entry:
    """The artefact of a flavour. Raises KlabError when it has not been made."""
    entry = find(name, own)
    if entry is None:
        given = "".join(f" --fragment {path}" for path in own)
        raise KlabError(
            f"the kernel of flavour '{name}' has not been built as it is described now",
            step="kernel: find",
            mend=f"klab kernel build --flavour {name}{given}",
        )
    return entry
