# SPDX-License-Identifier: GPL-3.0-or-later
"""The artefact of a flavour: its digest, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from klab import digest as digests
from klab import store
from klab.errors import KlabError
from klab.kernel import flavour as flavours
from klab.kernel import root, source
from klab.kernel.fragment import combine

KIND = "kernels"
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
    """What a flavour's kernel is made of, and the digest that follows from it."""

    flavour: flavours.Flavour
    inputs: dict[str, Any]
    digest: str


def plan(name: str, versions: dict[str, str]) -> Plan:
    """The plan of flavour `name` with tools of these versions.

    Of the fragments only names and values count, in their order: a better comment
    is no reason to compile, and the command line is the machine's affair.
    """
    flavour = flavours.load(name)
    inputs = {
        "recipe": RECIPE,
        "flavour": name,
        "source": source.digest(flavour.source),
        "base": flavour.base,
        "symbols": [[request.name, request.value] for request in combine(flavour.fragments).values()],
        "toolchain": versions,
    }
    return Plan(flavour, inputs, digests.of_data(inputs))


def find(name: str) -> store.Entry | None:
    """The artefact of a flavour as it is described now, or None when it must be built.

    Raises KlabError for an unknown flavour.
    """
    flavours.load(name)
    tools = root.current()
    return store.find(KIND, plan(name, dict(tools.versions)).digest) if tools else None


def get(name: str) -> store.Entry:
    """The artefact of a flavour. Raises KlabError when it has not been built."""
    entry = find(name)
    if entry is None:
        raise KlabError(
            f"the kernel of flavour '{name}' has not been built as it is described now",
            step="kernel: find",
            mend=f"klab kernel build --flavour {name}",
        )
    return entry
