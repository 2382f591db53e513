# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done to a machine. Each function tells whether it changed anything.

    absent --create--> off --start--> running --ready--> running, with a ready point
    stop keeps everything, running programs too; reset goes back to the ready point.

The caller holds the machine's lock. Cut off anywhere, the same call goes on.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace

from klab import progress
from klab.errors import KlabError
from klab.machine import (
    argv,
    console,
    disk,
    identity,
    keys,
    model,
    ports,
    process,
    provider,
    qmp,
    rest,
    ssh,
    wake,
)
from klab.machine.knock import BUSY_S, Knock
from klab.machine.model import Machine
from klab.machine.parts import Wanted

SETTLE_S = 180.0  # seconds that a first boot may go on behind the first login
POWER_OFF_S = 60.0
BRIEFLY_S = 0.001
WAKE_S = 15.0  # until a guest that goes on has answered; else it is waited for as after a boot
# Nothing of the boot is left half-written, and what a machine needs when it wakes up (klab-wake,
# identity.py) is in its memory: from there it is quicker than from the disk.
SETTLE = (
    "sudo -n systemctl is-system-running --wait;"
    " perl -e 1; ip -V; base64 </dev/null; sudo -n date; sudo -n sync; true"
)


def create(name: str, wanted: Wanted) -> Machine:
    """Make a machine that is off. Its ports are chosen here and stay. Raises KlabError."""
    others = taken(name)
    machine = Machine(
        name=model.check_name(name),
        uuid=str(uuid.uuid4()),
        machine_type=argv.machine_type(),
        memory=wanted.memory,
        cpus=wanted.cpus,
        ssh_port=wanted.ssh_port or ports.pick(wanted.port_base, others),
        gdb_port=ports.pick(wanted.gdb_base, others),
        fixed_port=bool(wanted.ssh_port),
        accel=wanted.verdict.accel,
        accel_reason=wanted.verdict.reason,
        kernel=wanted.kernel.facts(),
        image=wanted.image.facts(),
        created=int(time.time()),
        hardware=argv.HARDWARE,
    )
    machine.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    disk.adopt(wanted.image.path, machine.file(disk.BASE))
    wanted.kernel.adopt(machine.boot_dir)
    keys.write(machine)
    disk.layer(machine, disk.BASE)
    machine.save()  # last: only now does the machine exist
    return machine


def taken(name: str) -> set[int]:
    """Ports that other machines claim, running or not."""
    others = [m for m in model.everyone() if m.name != name]
    return {port for m in others for port in (m.ssh_port, m.gdb_port)}


def _settle_ports(machine: Machine) -> None:
    """Before power-on: chosen ports move when someone sits on them, asked-for ones do not."""
    others = taken(machine.name)
    if machine.fixed_port:
        ports.require(machine.ssh_port, f"ssh to {machine.name}", machine.name, machine.listen)
    elif not ports.free(machine.ssh_port, machine.listen):
        machine.ssh_port = ports.pick(machine.ssh_port + 1, others, machine.listen)
    if not ports.free(machine.gdb_port):
        machine.gdb_port = ports.pick(machine.gdb_port + 1, others)
    machine.save()
    keys.write(machine)


def power_on(machine: Machine, turn: str, *, trial: Mapping[str, str] | None = None) -> None:
    """Start the machine's QEMU, as `turn` says: BOOT, RESUME from `stop`, or RESET to the ready point.

    The console file notes it. trial: boot this kernel of the machine's, and leave its record
    as it is. Raises KlabError when a part is gone or QEMU does not start.
    """
    rest.finish(machine)
    kernel = dict(trial or machine.kernel)
    boot_dir = replace(machine, kernel=kernel).boot_dir
    for part in (machine.file(disk.BASE), machine.disk, boot_dir / "bzImage"):
        if not part.exists():
            raise KlabError(
                f"{part} is gone, and with it what the machine stands on",
                step="vm: start",
                machine=machine.name,
                mend=f"build the same image and kernel again, or klab vm destroy --name {machine.name} --yes",
            )
    _settle_ports(machine)
    console.mark(machine.console, turn)
    wake.prepare(machine)
    machine.file(rest.DRAFT).unlink(missing_ok=True)
    provider.launch(machine, turn, kernel)
    if turn == console.RESET:
        rest.go_on(machine)


def start(machine: Machine, *, cold: bool = False, deadline_s: float) -> bool:
    """Power on, or go on where `stop` left off, and wait for ssh.

    cold: boot from the disk even where running programs were kept by `stop`.
    """
    if process.pid_of(machine):
        changed = _go_on(machine)
        ssh.wait(machine, deadline_s, listening=True)
        return changed
    began = time.monotonic()
    resume = provider.kept(machine) and not cold
    # Noted before the machine runs: whatever happens from here on, its disk never goes
    # back to the moment of that `stop`.
    machine.stopped = False
    machine.save()
    try:
        power_on(machine, console.RESUME if resume else console.BOOT)
        if resume:
            wake.tell(machine, answers=machine.hardware >= argv.MAPPED)
    except KlabError as error:
        if resume:
            machine.stopped = True
            machine.save()
            error.mend = f"klab vm start --name {machine.name} --cold boots from the disk; {error.mend}"
        raise
    provider.forget(machine)
    ssh.wait(machine, deadline_s, listening=resume)
    progress.remember(
        "vm: resume" if resume else "vm: boot", machine.name, round(time.monotonic() - began, 2)
    )
    return True


def _go_on(machine: Machine) -> bool:
    """Let a machine run that stands still, as a `stop` that was cut off leaves it."""
    changed = qmp.resume(machine)
    if machine.stopped:
        machine.stopped = False
        machine.save()
    return changed


def ready(machine: Machine, deadline_s: float) -> bool:
    """Bring the machine up, wait until it answers; keep it as its ready point if it has none."""
    changed = start(machine, deadline_s=deadline_s)
    if machine.ready:
        return changed
    _of_today(machine)
    ssh.run(machine, SETTLE, timeout_s=SETTLE_S)
    ssh.hang_up(machine)
    rest.save(machine)
    console.mark(machine.console, console.READY)
    _back(machine, deadline_s)
    return True


def _of_today(machine: Machine) -> None:
    """Raise KlabError for a machine whose memory can be no file."""
    if machine.hardware < argv.MAPPED:
        raise KlabError(
            f"{machine.name} was made by an older klab: it runs, but cannot be put back",
            step="vm: ready",
            machine=machine.name,
            mend="save what you need from it, then make lab ARGS='-e vm_recreate=always'",
        )


def reset(machine: Machine, deadline_s: float) -> bool:
    """Put the machine back to its ready point and that point's kernel; wait for ssh."""
    _of_today(machine)
    if not machine.ready:
        raise KlabError(
            f"{machine.name} has no ready point yet",
            step="vm: reset",
            machine=machine.name,
            mend=f"klab vm ready --name {machine.name}",
        )
    began = time.monotonic()
    if process.pid_of(machine):
        # In a process of its own: a running QEMU lets an emulated TSC never go back, so the
        # guest would wake up with its clock far ahead of its timers (RCU stalls, lost watchdogs).
        ssh.hang_up(machine)
        provider.leave(machine)
    _back(machine, deadline_s)
    progress.remember("vm: reset", machine.name, round(time.monotonic() - began, 2))
    return True


def _back(machine: Machine, deadline_s: float) -> None:
    """Let a machine that is off go on from its ready point, and wait for ssh."""
    machine.kernel = dict(machine.home)
    machine.stopped = machine.begun = False
    rest.back(machine)
    machine.save()
    power_on(machine, console.RESET)
    if not machine.like:
        number = wake.tell(machine)
        knock = Knock(machine.ssh_port, BUSY_S, machine.listen)
        knock.greeted(BRIEFLY_S)  # its sshd begins to work while the rest wakes up
        awake = wake.answer(machine, number, WAKE_S) == "0"
        ssh.wait(machine, deadline_s, knock=knock if awake else None)
        return
    number = wake.tell(machine, identity.script(machine))
    if (said := wake.answer(machine, number, deadline_s)) != "0":
        raise KlabError(
            f"{machine.name} did not become itself: "
            f"{'no answer' if said is None else f'its script ended with {said}'}",
            step="vm: identity",
            machine=machine.name,
            log=machine.console,
            mend=f"klab vm console {machine.name} -n 100; klab vm reset --name {machine.name} tries again",
        )
    ssh.wait(machine, deadline_s, knock=Knock(machine.ssh_port, BUSY_S, machine.listen))
    machine.begun = True
    machine.save()


def stop(machine: Machine, *, power_off: bool = False, force: bool = False) -> bool:
    """Turn the machine off: with everything kept, or shut down, or cut off.

    A guest that has died is cut off, its memory is worth nothing.
    """
    if not process.pid_of(machine):
        return False
    ssh.hang_up(machine)
    provider.stay_off(machine)
    dead = console.hopeless(console.lines(machine.console))
    if power_off and not force and not dead:
        ssh.run(machine, "sudo -n systemctl poweroff")
        if process.wait_gone(machine, POWER_OFF_S):
            return True
        raise KlabError(
            f"{machine.name} did not shut down within {POWER_OFF_S:g} s",
            step="vm: stop",
            machine=machine.name,
            log=machine.console,
            mend=f"klab vm stop --name {machine.name} --force",
        )
    if not force and not dead:
        provider.keep(machine)
        machine.stopped = True
        machine.save()
    provider.leave(machine)
    return True


def destroy(name: str) -> bool:
    """End the machine and remove all of it, whole or half-made."""
    folder = model.machines_dir() / model.check_name(name)
    if not folder.exists():
        return False
    try:
        machine = model.find(name)
    except KlabError:
        machine = None  # a record that cannot be read is no reason to keep the rest
    if machine:
        ssh.hang_up(machine)
        provider.remove(machine)
        for socket in ("qmp.sock", "console.sock", "ssh"):
            machine.socket(socket).unlink(missing_ok=True)
        machine.file("machine.json").unlink()  # first: a half-removed machine is none
    shutil.rmtree(folder)
    return True
