# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab vm`: lab machines on this computer.

`ssh` and `console` replace this process by the program they run (hence S606), so that
signals and the terminal go straight to it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from klab import accel
from klab.cli import seat
from klab.cli.verb import TIMEOUT_S, Outcome, check_option, timeout_option, verb
from klab.errors import KlabError
from klab.machine import console, drift, lifecycle, model, parts, ssh, state

DEFAULT = "lab1"
name_argument = click.argument("name", default=DEFAULT)
name_option = click.option("--name", default=DEFAULT, show_default=True, help="The machine.")


@click.group()
def command() -> None:
    """Lab machines on this computer: make, start, reset, reach, remove."""


def outcome(changed: bool, message: str, machine: model.Machine) -> Outcome:
    """What a verb did to a machine, with the machine's facts."""
    return Outcome(changed, message, {"machine": state.facts(machine)})


def _would(do: str, name: str, change: bool) -> Outcome:
    return Outcome(change, f"would {do} {name}" if change else f"{name}: nothing to do")


@verb(command, "create")
@name_option
@click.option("--kernel", required=True, help="Digest of a kernel in the cache, or path of a bzImage.")
@click.option("--image", required=True, help="Digest of an image in the cache, or path of a raw disk.")
@click.option(
    "--initrd",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Only for kernels that need one.",
)
@click.option("--cmdline", default="", help="More kernel arguments.")
@click.option("--memory", type=click.IntRange(min=128), default=2048, show_default=True, help="MiB.")
@click.option("--cpus", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--ssh-port", type=click.IntRange(0, 65535), default=0, help="Exactly this port; 0 picks one.")
@click.option("--port-base", type=click.IntRange(1024, 65000), default=2222, show_default=True)
@click.option("--gdb-base", type=click.IntRange(1024, 65000), default=1234, show_default=True)
@click.option(
    "--accel", "wanted_accel", type=click.Choice(["auto", "kvm", "tcg"]), default="auto", show_default=True
)
@click.option(
    "--recreate", type=click.Choice(drift.CHOICES), default="auto", show_default=True, help=drift.HELP
)
@check_option
def create(
    *,
    name: str,
    kernel: str,
    image: str,
    initrd: Path | None,
    cmdline: str,
    memory: int,
    cpus: int,
    ssh_port: int,
    port_base: int,
    gdb_base: int,
    wanted_accel: str,
    recreate: str,
    check: bool,
) -> Outcome:
    """Make a machine (it stays off), unless it is there and as wanted."""
    verdict = accel.probe() if wanted_accel == "auto" else accel.Verdict(wanted_accel, "asked for", 0)
    wanted = parts.Wanted(
        kernel=parts.kernel(kernel, initrd, cmdline),
        image=parts.image(image),
        verdict=verdict,
        memory=memory,
        cpus=cpus,
        ssh_port=ssh_port,
        port_base=port_base,
        gdb_base=gdb_base,
    )
    with model.locked(name):
        why = ""
        if known := model.find(name):
            found = drift.of(known, wanted)
            if not found:
                return outcome(False, f"{name} is there, as wanted", known)
            why = f", because {'; '.join(found)}"
            if not (check and state.of(known) == state.OFF):
                drift.settle(known, found, recreate, TIMEOUT_S)
        if check:
            return Outcome(True, f"would make {name}{why}")
        lifecycle.destroy(name)  # the outdated one, or what a run that was cut off left
        made = lifecycle.create(name, wanted)
    return outcome(True, f"{name} is made{why}; klab vm start --name {name}", made)


verb(command, "seat")(seat.seat)
verb(command, "libvirt")(seat.hypervisor)
verb(command, "qemu")(seat.qemu)
verb(command, "labs")(seat.labs)


@verb(command, "start")
@name_option
@timeout_option
@click.option("--cold", is_flag=True, help="Boot from the disk even where `stop` kept running programs.")
@check_option
def start(name: str, timeout: float, cold: bool, check: bool) -> Outcome:
    """Power on, or go on where `stop` left off, and wait for ssh."""
    if check:
        return _would("start", name, state.of_name(name) in (state.ABSENT, state.OFF))
    with model.locked(name):
        machine = model.get(name)
        changed = lifecycle.start(machine, cold=cold, deadline_s=timeout)
    return outcome(changed, f"{name} answers: {ssh.line(machine)}", machine)


@verb(command, "ready")
@name_option
@timeout_option
@check_option
def ready(name: str, timeout: float, check: bool) -> Outcome:
    """Bring the machine up and wait until it answers; keep the point that `reset` goes back to."""
    if check:
        todo = state.of_name(name) in (state.ABSENT, state.OFF) or not model.get(name).ready
        return _would("bring up and keep the ready point of", name, todo)
    with model.locked(name):
        machine = model.get(name)
        changed = lifecycle.ready(machine, timeout)
    return outcome(changed, f"{name} is ready: {ssh.line(machine)}", machine)


@verb(command, "reset")
@name_option
@timeout_option
@check_option
def reset(name: str, timeout: float, check: bool) -> Outcome:
    """Put the machine back to its ready point. Work since then is lost."""
    began = time.monotonic()
    if check:
        return _would("reset", name, True)
    with model.locked(name):
        machine = model.get(name)
        lifecycle.reset(machine, timeout)
    took = time.monotonic() - began
    return outcome(True, f"{name} is as new after {took:.1f} s: {ssh.line(machine)}", machine)


@verb(command, "stop")
@name_option
@click.option("--power-off", is_flag=True, help="Shut the guest down instead of keeping what runs.")
@click.option("--force", is_flag=True, help="Cut it off, as a power failure would.")
@check_option
def stop(name: str, power_off: bool, force: bool, check: bool) -> Outcome:
    """Turn the machine off; `start` goes on where it stood, running programs too."""
    if check:
        return _would("stop", name, state.of_name(name) not in (state.ABSENT, state.OFF))
    with model.locked(name):
        machine = model.get(name)
        changed = lifecycle.stop(machine, power_off=power_off, force=force)
    return outcome(changed, f"{name} is off", machine)


@verb(command, "destroy")
@name_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@check_option
def destroy(name: str, yes: bool, check: bool) -> Outcome:
    """Remove the machine with its disk and keys. All work on it is lost."""
    there = (model.machines_dir() / model.check_name(name)).exists()
    if check or not there:
        return Outcome(there, f"would remove {name}" if there else f"there is no machine {name}")
    if not yes and not (sys.stdin.isatty() and click.confirm(f"Remove {name} and all work on it?")):
        raise KlabError(
            f"{name} was not removed", step="vm: destroy", machine=name, mend="say --yes to remove it"
        )
    with model.locked(name):
        lifecycle.destroy(name)
    return Outcome(True, f"{name} is gone")


@verb(command, "status")
@name_option
def status(name: str) -> Outcome:
    """Tell a machine's state: absent, off, running or ready."""
    machine = model.find(name)
    if machine is None:
        return Outcome(False, f"{name}: absent", {"machine": {"name": name, "state": state.ABSENT}})
    return Outcome(False, state.table([machine]), {"machine": state.facts(machine)})


@verb(command, "list")
def listing() -> Outcome:
    """List this user's machines."""
    machines = model.everyone()
    return Outcome(False, state.table(machines), {"machines": [state.facts(m) for m in machines]})


@verb(command, "splats")
@name_option
@click.option(
    "--all", "everything", is_flag=True, help="All boots in the console file, not only the present one."
)
def splats(name: str, everything: bool) -> Outcome:
    """Look for kernel complaints (WARN, BUG, KASAN, lockdep, stalls) on the console."""
    machine = model.get(name)
    found = console.splats(console.lines(machine.console), everything=everything)
    text = "\n".join(f"{machine.console}:{f.number}: {f.name}: {f.line}" for f in found)
    data = {"splats": [{"name": f.name, "line": f.line, "number": f.number} for f in found]}
    return Outcome(False, text or f"{name}: no kernel complaint", data, code=1 if found else 0)


def _machine(name: str) -> model.Machine:
    """The machine, for the two commands that are no verbs; without one, the end."""
    try:
        return model.get(name)
    except KlabError as error:
        sys.exit(f"klab: {error}")


@command.command("ssh", context_settings={"ignore_unknown_options": True})
@name_argument
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def ssh_(name: str, words: tuple[str, ...]) -> None:
    """Log in, or run WORDS there: klab vm ssh lab1 uname -r."""
    machine = _machine(name)
    os.execvp("ssh", ["ssh", "-F", str(machine.ssh_config), name, *words])  # noqa: S606 - no shell is wanted


@command.command("console")
@name_argument
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows; Ctrl-C ends.")
@click.option("-n", "--lines", type=int, default=40, show_default=True)
def console_(name: str, follow: bool, lines: int) -> None:
    """Show what the machine printed on its serial console."""
    machine = _machine(name)
    os.execvp("tail", ["tail", f"-n{lines}", *(["-F"] if follow else []), str(machine.console)])  # noqa: S606 - no shell is wanted
