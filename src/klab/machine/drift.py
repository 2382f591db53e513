# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that is not what is wanted any more, and the student's work on it.

An overlay belongs to one image, a snapshot to one kernel, memory and CPU count: when
these change, the machine must be made anew, and what was done on it is lost. That is
never done silently to work that somebody may want.
"""

from __future__ import annotations

from klab.digest import short
from klab.errors import KlabError
from klab.machine import argv, lifecycle, process, ssh
from klab.machine.model import Machine
from klab.machine.parts import Wanted

CHOICES = ("auto", "always", "never")
HELP = (
    "What if the machine differs from what is wanted: auto makes it anew only when nobody has worked on it."
)
# Where people work; what the system writes by itself (/var, /run, /etc/mtab…) is not here.
PLACES = "/home /root /srv /opt /usr/local /etc"
FEW = 5


def of(machine: Machine, wanted: Wanted) -> list[str]:
    """In what the machine differs from what is wanted, in words; empty when in nothing.

    Its kernel is the one it was made with: `klab boot` is no drift, and nothing undoes it
    but `klab boot` and `klab vm reset`.
    """
    pairs = [
        ("kernel", machine.home.get("digest"), wanted.kernel.digest),
        ("image", machine.image.get("digest"), wanted.image.digest),
    ]
    found = [
        f"its {what} is {short(has or 'unknown')}, wanted {short(asked)}"
        for what, has, asked in pairs
        if has != asked
    ]
    if machine.home.get("cmdline") != wanted.kernel.cmdline:
        found.append("its kernel command line is another")
    if (machine.memory, machine.cpus) != (wanted.memory, wanted.cpus):
        has = f"{machine.cpus} CPUs and {machine.memory} MiB"
        found.append(f"it has {has}, wanted {wanted.cpus} and {wanted.memory}")
    if machine.hardware != argv.HARDWARE:
        found.append("its virtual hardware is that of an older klab")
    if machine.accel != wanted.verdict.accel:
        found.append(f"it runs by {machine.accel}, wanted {wanted.verdict.accel}")
    if wanted.ssh_port and machine.ssh_port != wanted.ssh_port:
        found.append(f"it listens on port {machine.ssh_port}, wanted {wanted.ssh_port}")
    return found


def work(machine: Machine) -> str:
    """What would be lost with the machine: files changed since it was ready, or why that is unknown."""
    if machine.switched:
        return f"it was switched to the kernel {machine.kernel.get('release')}"
    if not machine.ready:
        return ""  # nobody was let in yet
    find = (
        f"sudo -n find {PLACES} -xdev -type f -newermt @{machine.ready + 1} 2>/dev/null | head -n {FEW + 1}"
    )
    changed = ssh.run(machine, find).out.split("\n")[:-1]
    more = ", …" if len(changed) > FEW else ""
    return f"files changed since it was ready: {', '.join(changed[:FEW])}{more}" if changed else ""


def settle(machine: Machine, found: list[str], recreate: str, deadline_s: float) -> None:
    """Return when the machine may be made anew; otherwise raise KlabError, naming what it holds.

    One that is off is brought up for the look, and turned off again when it is kept.
    deadline_s: how long that may take, in seconds.
    """
    if recreate == "always":
        return
    holds = _look(machine, deadline_s) if recreate == "auto" else "recreating it was ruled out"
    if holds:
        raise KlabError(
            f"{machine.name} is not what is wanted: {'; '.join(found)}. It was kept: {holds}",
            step="vm: create",
            machine=machine.name,
            mend=f"save what you need from it ({ssh.line(machine)}), then say vm_recreate=always"
            " (klab vm create --recreate always)",
        )


def _look(machine: Machine, deadline_s: float) -> str:
    was_off = not process.pid_of(machine)
    if was_off and machine.ready and not machine.switched:
        try:
            lifecycle.start(machine, deadline_s=deadline_s)
        except KlabError as error:
            return f"it is off and does not come up: {error.what}"
    holds = work(machine)
    if was_off and holds:
        lifecycle.stop(machine)
    return holds
