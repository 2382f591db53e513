# SPDX-License-Identifier: GPL-3.0-or-later
"""Switch a machine to another kernel, and back to the last good one when it does not come up.

The record names the last good kernel all the while: a switch that is cut off anywhere
ends, with the next start, on that one. The ready snapshot keeps its own kernel (`home`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from klab import progress
from klab.errors import KlabError
from klab.machine import banner, console, lifecycle, process, ssh
from klab.machine.model import Machine
from klab.machine.parts import Kernel

STEP = "boot: switch the kernel"
NOTES = "/usr/lib/klab/kernels"  # role kernel_install notes there what it installed


@dataclass(frozen=True)
class Inside:
    """What a machine says of itself: `uname -r`, `uname -v`, and the digest installed under a release."""

    release: str
    version: str
    installed: str

    def runs(self, kernel: Kernel) -> bool:
        """Whether the kernel that runs there is that very build."""
        return banner.Banner(self.release, self.version) == banner.read(kernel.path)


def look(machine: Machine, release: str) -> Inside:
    """Ask a machine that answers which kernel runs, and what it holds under `release`."""
    said = ssh.run(machine, f"uname -r; uname -v; cat {NOTES}/{release}.json 2>/dev/null").out
    running, version, note = [*said.split("\n", 2), "", ""][:3]
    try:
        installed = str(json.loads(note)["digest"])
    except (ValueError, KeyError, TypeError):
        installed = ""
    return Inside(running, version, installed)


def to(machine: Machine, kernel: Kernel, install: Callable[[str], None], deadline_s: float) -> bool:
    """Make the machine run `kernel`; False when it does already.

    install: puts the packages of the kernel with that digest on the running machine. A
    machine that is off or dead is started first. deadline_s: longest wait for ssh at each start, in
    seconds. Raises KlabError, after going back to the last good kernel, when the new one
    does not come up.
    """
    if process.pid_of(machine) and console.hopeless(console.lines(machine.console)):
        lifecycle.stop(machine)  # a dead guest is cut off, and the last good kernel boots
    lifecycle.start(machine, deadline_s=deadline_s)
    lifecycle.ready(machine, deadline_s)  # what was there before is not lost, whatever comes
    inside = look(machine, kernel.release)
    if inside.installed != kernel.digest:
        install(kernel.digest)
        inside = look(machine, kernel.release)
        if inside.installed != kernel.digest:
            raise KlabError(
                f"the kernel {kernel.release} was installed on {machine.name}, but is not there",
                step=STEP,
                machine=machine.name,
                mend=f"look into {NOTES} on it: {ssh.line(machine)}",
            )
    if kernel.facts() == machine.kernel and inside.runs(kernel):
        return False
    began = time.monotonic()
    kernel.adopt(machine.boot_dir_of(kernel.digest))
    lifecycle.stop(machine, power_off=True)
    try:
        _try(machine, kernel, deadline_s)
    except KlabError as trouble:
        raise _back(machine, kernel, trouble, install, deadline_s) from None
    machine.kernel = kernel.facts()
    machine.save()
    progress.remember("boot", kernel.flavour or kernel.release, round(time.monotonic() - began, 2))
    return True


def _try(machine: Machine, kernel: Kernel, deadline_s: float) -> None:
    """Boot the kernel once and see that it is the one that answers."""
    lifecycle.power_on(machine, console.BOOT, trial=kernel.facts())
    ssh.wait(machine, deadline_s)
    inside = look(machine, kernel.release)
    if not inside.runs(kernel):
        raise KlabError(f"another kernel answers: {inside.release} {inside.version}", step=STEP)


def _name(kernel: Mapping[str, str]) -> str:
    flavour = kernel.get("flavour")
    return f"flavour {flavour} ({kernel['release']})" if flavour else f"kernel {kernel.get('release')}"


def _back(
    machine: Machine,
    kernel: Kernel,
    trouble: KlabError,
    install: Callable[[str], None],
    deadline_s: float,
) -> KlabError:
    """Boot the last good kernel again; the error that tells what happened."""
    what = f"{_name(kernel.facts())} did not come up on {machine.name}: {trouble.what}"
    good = _name(machine.kernel)
    if process.pid_of(machine):
        lifecycle.stop(machine, force=True)
    try:
        lifecycle.start(machine, cold=True, deadline_s=deadline_s)
        if kernel.release == machine.kernel["release"] and kernel.digest != machine.kernel["digest"]:
            install(machine.kernel["digest"])  # both have one place for their modules
    except KlabError as error:
        return KlabError(
            f"{what}\nThe last good one, {good}, did not come up either: {error.what}",
            step=STEP,
            machine=machine.name,
            log=machine.console,
            mend=f"klab vm reset --name {machine.name} goes back to the ready snapshot",
        )
    return KlabError(
        f"{what}\n{machine.name} is back on the last good one, {good}",
        step=STEP,
        machine=machine.name,
        log=machine.console,
        mend=trouble.mend or f"klab vm console {machine.name} -n 200 shows what it said",
    )
