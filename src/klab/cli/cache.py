# SPDX-License-Identifier: GPL-3.0-or-later
"""klab cache: what the cache holds, whether it is whole, and making room."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import click

from klab import digest as digests
from klab import namespace, retention, store
from klab.cli import incoming
from klab.cli.verb import Outcome, check_option, verb
from klab.image import claim
from klab.kernel import btf, outtree, student
from klab.machine import model
from klab.paths import cache_dir

KINDS = [
    *("roots", "sources", "kernels", "modules", "symbols", "debugs", btf.KIND, "probes"),
    *("initramfs", "guests", "inside", "rootfs", "images"),
    *(student.REFERENCE, student.KIND),
]
# Of what sort an entry is, as its manifest tells: a new kernel of one flavour supersedes
# none of another.
SORT = {"roots": "toolchain", "guests": "guest"}
SORT |= dict.fromkeys(("kernels", "modules", "symbols", "debugs", "probes", "images"), "flavour")
SORT |= dict.fromkeys((student.REFERENCE, student.KIND), "fragments")


@click.group()
def command() -> None:
    """The content-addressed cache; all of it can be made again."""


def _megabytes(path: Path) -> int:
    said = subprocess.run(
        namespace.wrap(["du", "-sm", path]), capture_output=True, text=True, check=False
    ).stdout
    return int(said.split()[0]) if said else 0


def _sort(entry: store.Entry) -> tuple[str, str]:
    if entry.kind == "sources":
        return entry.kind, str(entry.manifest["source"]["id"]).rpartition(" ")[0]  # without its version
    return entry.kind, str(entry.manifest.get(SORT.get(entry.kind, ""), ""))


def _made(entry: store.Entry) -> float:
    return (entry.path / store.MANIFEST).stat().st_mtime


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "kind": entry.kind,
            "digest": entry.digest,
            "megabytes": _megabytes(entry.path),
            "made": _made(entry),
            "path": str(entry.path),
        }
        for kind in KINDS
        for entry in store.entries(kind)
    ] + [
        {
            "kind": "trees",
            "digest": path.name,
            "megabytes": outtree.megabytes(path),
            "made": outtree.used(path),
            "path": str(path),
        }
        for path in outtree.kept()
    ]


@verb(command, "list")
def list_all() -> Outcome:
    """List the entries and the kept output trees of kernels, with their size and age.

    Example: klab cache list
    """
    rows = _rows()
    lines = [
        f"{row['kind']:<8} {Path(row['path']).name[:18]:<18} {row['megabytes']:>6} MB  "
        f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(row['made']))}"
        for row in rows
    ]
    return Outcome(False, "\n".join(lines) or f"nothing in {cache_dir()}", {"entries": rows})


@verb(command, "verify")
def verify() -> Outcome:
    """Hash every file of every entry anew; exit status 1 when one is damaged.

    Example: klab cache verify
    """
    damaged = [
        f"{entry.path / name}"
        for kind in KINDS
        for entry in store.entries(kind)
        for name, stamp in entry.manifest["files"].items()
        if digests.of_file(entry.path / name) != stamp["sha256"]
    ]
    message = "\n".join(f"damaged: {name}" for name in damaged) or "every file is as it was stored"
    return Outcome(False, message, {"damaged": damaged}, code=1 if damaged else 0)


verb(command, "incoming")(incoming.awaited)
verb(command, "adopt")(incoming.taken)


@verb(command, "prune")
@click.option("--keep", default=1, show_default=True, help="Entries of each sort that stay, newest first.")
@click.option("--older-than", default=0.0, show_default=True, help="Days for which nothing is removed.")
@check_option
def prune(keep: int, older_than: float, check: bool) -> Outcome:
    """Remove old entries and half-done images, and say which; what a machine is made of stays.

    Of a sort are the kernels, images and output trees of a flavour, the versions of a source, the
    roots of a toolchain, the guests of a flavour that are alike. What is published for other machines
    lies in the archive: klab archive prune.
    Example: klab cache prune --keep 2 --older-than 7 --check
    """
    used = model.made_of()
    entries = [entry for kind in KINDS for entry in store.entries(kind)]
    old = retention.superseded(entries, group=_sort, made=_made, keep=keep, older_than_days=older_than)
    gone = [entry for entry in old if entry.digest not in used]
    trees = claim.abandoned()
    for path in [entry.path for entry in gone] + trees:
        if not check:
            namespace.remove(path)
    spare = retention.superseded(
        outtree.kept(), group=outtree.flavour, made=outtree.used, keep=keep, older_than_days=older_than
    )
    spare = [path for path in spare if check or outtree.remove(path)]
    done = "would be removed" if check else "removed"
    lines = [f"{done}: {entry.kind} {digests.short(entry.digest)}" for entry in gone]
    lines += [f"{done}: trees {path.name}" for path in spare]
    lines += [f"{done}: half-done {path.name[:17]}" for path in trees]
    return Outcome(
        bool(lines), "\n".join(lines) or "nothing to remove", {"removed": [e.digest for e in gone]}
    )
