# SPDX-License-Identifier: GPL-3.0-or-later
"""The ready point: a machine at one moment, to which `reset` goes back any number of times.

Its folder holds the disk as it was then, which nobody writes to any more; the memory, which
whoever goes on maps for itself; and QEMU's migration stream without that memory. The machine's
own disk is a thin layer over the first. Cut off anywhere, the point is there as a whole or not.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

from klab.errors import KlabError
from klab.machine import disk, migration, process, qmp
from klab.machine.model import Machine

FOLDER = "ready"
DISK, MEMORY, STATE = (f"{FOLDER}/{name}" for name in ("disk.qcow2", "memory", "state"))
FILES = (disk.BASE, "disk.qcow2", "memory", "state")  # in the folder
DRAFT = "memory"  # of a machine that has no ready point yet: its memory as it runs
SAVE_S = 120.0  # a slow disk under load is the long case
LOAD_S = 60.0
STEP = "vm: keep the ready point"


def _draft(machine: Machine) -> Path:
    """An empty folder that is to become the ready point's."""
    draft = machine.file(f"{FOLDER}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    return draft


def save(machine: Machine) -> None:
    """Keep the running machine as its ready point; it is off afterwards. Raises KlabError."""
    draft = _draft(machine)
    try:
        qmp.session(
            machine.socket("qmp.sock"),
            machine.name,
            lambda qemu: migration.save(qemu, draft / "state"),
            SAVE_S,
        )
    except qmp.Unanswered as why:
        raise KlabError(
            f"the machine could not be kept as it is: {why}",
            step=STEP,
            machine=machine.name,
            log=machine.log,
            mend="free some space; then the same again",
        ) from None
    process.leave(machine)
    machine.file(DRAFT).replace(draft / "memory")
    disk.adopt(machine.file(disk.BASE), draft / disk.BASE)
    disk.adopt(machine.disk, draft / "disk.qcow2")
    draft.rename(machine.file(FOLDER))  # from here on the point is there
    finish(machine)


def finish(machine: Machine) -> None:
    """Do what is left of `save`, where it was cut off behind the point's appearance."""
    if machine.file(DISK).exists() and machine.disk.samefile(machine.file(DISK)):
        disk.layer(machine, DISK)
    if not machine.ready and machine.file(STATE).exists():
        machine.ready = int(time.time())
        machine.save()


def adopt(machine: Machine, template: Machine) -> None:
    """Share the template's ready point; it appears as a whole."""
    draft = _draft(machine)
    for name in FILES:
        disk.adopt(template.file(FOLDER) / name, draft / name)
    shutil.rmtree(machine.file(FOLDER), ignore_errors=True)
    draft.rename(machine.file(FOLDER))


def back(machine: Machine) -> None:
    """A new disk on the ready point's, for a machine that is off."""
    disk.layer(machine, DISK)


def go_on(machine: Machine) -> None:
    """Let a QEMU that waits for it go on from the ready point. Raises KlabError."""
    try:
        qmp.session(
            machine.socket("qmp.sock"),
            machine.name,
            lambda qemu: migration.load(qemu, machine.file(STATE)),
            LOAD_S,
        )
    except qmp.Unanswered as why:
        raise KlabError(
            f"{machine.name} does not go on from its ready point: {why}",
            step="vm: reset",
            machine=machine.name,
            log=machine.log,
            mend=f"klab vm start --name {machine.name} boots it; klab vm ready keeps a new point",
        ) from None


def used_bytes(machine: Machine) -> int:
    """Bytes that its layers and its kept memory take on the host's disk; of what is shared, its part."""
    total = 0
    for path in (machine.disk, *map(machine.file, (DISK, MEMORY, DRAFT))):
        with suppress(FileNotFoundError):
            info = path.stat()
            total += info.st_blocks * 512 // info.st_nlink
    return total
