# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine's disk: thin layers over a read-only image, and the snapshot that `stop` takes.

The image and the kernel are hard-linked into the machine's folder where the file
system allows it: the cache may be deleted at any time, a machine's base may not.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from klab.errors import KlabError
from klab.machine.model import Machine

BASE = "base.raw"  # the image
STOPPED = "stopped"  # memory and devices as `stop` left them; gone once started again


def adopt(source: Path, target: Path) -> Path:
    """Hard-link `source` as `target`, or, across file systems, refer to it by a symlink."""
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without hard links
        target.symlink_to(source.resolve())
    return target


def _qemu_img(machine: Machine, *words: str | Path) -> str:
    argv = ["qemu-img", *map(str, words)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise KlabError(
            f"cannot run qemu-img: {error.strerror}",
            step="vm: disk",
            machine=machine.name,
            mend="apt-get install qemu-utils",
        ) from None
    if done.returncode:
        raise KlabError(
            f"qemu-img {words[0]} failed: {done.stderr.strip()}",
            step="vm: disk",
            machine=machine.name,
            mend=f"see {machine.dir}; to start over: klab vm destroy --name {machine.name} --yes",
        )
    return done.stdout


def layer(machine: Machine, below: str) -> None:
    """Make the machine's disk a new layer over a file of its folder; a whole one appears or none."""
    draft = machine.file("disk.qcow2.new")
    draft.unlink(missing_ok=True)
    kind = "raw" if below == BASE else "qcow2"
    backing = f"backing_file={below},backing_fmt={kind},lazy_refcounts=on"
    _qemu_img(machine, "create", "-q", "-f", "qcow2", "-o", backing, draft)
    draft.replace(machine.disk)


def info(machine: Machine) -> dict[str, Any]:
    """What qemu-img tells of the overlay, also while a machine uses it."""
    answer: dict[str, Any] = json.loads(
        _qemu_img(machine, "info", "--force-share", "--output=json", machine.disk)
    )
    return answer


def snapshots(machine: Machine) -> dict[str, int]:
    """Snapshot tags of a machine and the size of each one's memory image (bytes)."""
    return {s["name"]: int(s["vm-state-size"]) for s in info(machine).get("snapshots", [])}
