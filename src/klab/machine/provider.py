# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs a machine's QEMU, klab itself or libvirt: the only place that asks."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace

from klab.machine import argv, console, disk, libvirt, process, qmp, rest
from klab.machine.model import LIBVIRT, Machine


def launch(machine: Machine, turn: str, kernel: Mapping[str, str]) -> None:
    """Start its QEMU with a kernel of the machine's; for RESET it waits to be told of the ready point.

    Raises KlabError.
    """
    if machine.provider == LIBVIRT:
        libvirt.launch(machine, turn, kernel)
        return
    words = argv.build(
        replace(machine, kernel=dict(kernel)),
        loadvm=disk.STOPPED if turn == console.RESUME else "",
        incoming=turn == console.RESET,
    )
    machine.file("qemu.argv").write_text(f"cd {shlex.quote(str(machine.dir))} && {shlex.join(words)}\n")
    process.launch(machine, words)


def leave(machine: Machine) -> None:
    """End QEMU without a word to the guest; by force when it does not go. Raises KlabError."""
    if machine.provider == LIBVIRT:
        libvirt.off(machine)
        if not process.wait_gone(machine, process.LEAVE_S):
            process.kill(machine)
    else:
        process.leave(machine)
    machine.file(rest.DRAFT).unlink(missing_ok=True)


def keep(machine: Machine) -> None:
    """Keep all that runs in it, for a start with RESUME. It stands still, or is off. Raises KlabError."""
    if machine.provider == LIBVIRT:
        libvirt.save(machine)
    else:
        qmp.save(machine, disk.STOPPED)


def kept(machine: Machine) -> bool:
    """Whether what ran in it is kept: by `stop`, or by a libvirt whose host went down."""
    return libvirt.saved(machine) if machine.provider == LIBVIRT else machine.stopped


def forget(machine: Machine) -> None:
    """Forget what `keep` kept, of a machine that runs. libvirt does by itself. Raises KlabError."""
    if machine.provider != LIBVIRT:
        qmp.forget(machine, disk.STOPPED)


def stay_off(machine: Machine) -> None:
    """Let it be off when the host comes up again. Raises KlabError."""
    if machine.provider == LIBVIRT:
        libvirt.stay_off(machine)


def remove(machine: Machine) -> None:
    """End its QEMU, and leave nothing of it but the machine's folder. Raises KlabError."""
    if machine.provider == LIBVIRT:
        libvirt.remove(machine)
    process.kill(machine)
