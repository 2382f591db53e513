# SPDX-License-Identifier: GPL-3.0-or-later
"""A student's debuggee, beside the machine or inside. gdb runs on the machine (roles/lab_machine)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from klab.debuggee import agent, halt, lifecycle, lines
from klab.debuggee import model as debuggees
from klab.desk import call, talk
from klab.desk import place as places
from klab.desk.place import Whose
from klab.desk.talk import say
from klab.guest import runner, share


@click.group("debuggee")
def group() -> None:
    """A second computer, whose kernel you debug from this one."""


@group.command()
@call.where_option
@click.option("--kdump", is_flag=True, help="A crash leaves a dump (klab dump); there is no KGDB then.")
@click.argument("flavour", default="lab")
@click.pass_obj
def up(machine: Whose, kdump: bool, flavour: str) -> int:
    """Put it up on a flavour's kernel.

    Example: klab debuggee up lab
    """
    if isinstance(machine, places.Here):
        say("The first time it boots, which takes minutes where this machine is emulated.")
    _, changed = lifecycle.up(machine.name, flavour, dumps_at_crash=kdump)
    then = "When it has crashed: klab dump crash" if kdump else "Then: klab debuggee gdb"
    say(f"The debuggee is up{'' if changed else ' already'}, on kernel {flavour}. {then}")
    return 0


@group.command()
@click.pass_obj
def down(machine: Whose) -> int:
    """End it, in whatever state it is.

    Example: klab debuggee down
    """
    say("It is down." if lifecycle.down(machine.name) else "It was down.")
    return 0


@group.command()
@click.pass_obj
def reset(machine: Whose) -> int:
    """Put it back to its first moment, also when it stands in a debugger or hangs.

    Example: klab debuggee reset
    """
    lifecycle.reset(machine.name)
    say("It is as it was at its start.")
    return 0


@group.command()
@click.pass_obj
def status(machine: Whose) -> int:
    """Whether it is up, and whether it runs.

    Example: klab debuggee status
    """
    known = lifecycle.settled(machine.name)
    if not known or not known.pid:
        say("It is down.")
        return 1
    state = lifecycle.state(known)
    say(f"It {lifecycle.STATES[state]}, on kernel {known.flavour}.")
    return 0 if state == "running" else 1


@group.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_context
def run(context: click.Context, words: tuple[str, ...]) -> int:
    """Run a command in it; the folder below ~/labs in which you are goes with it.

    Example: klab debuggee run -- insmod hang.ko
    """
    machine, where = context.obj, context.meta[places.CALLED_IN]
    files, line = {}, runner.line(words)
    if where:
        with tempfile.TemporaryDirectory(prefix="klab-share-") as name:
            if places.get(machine, where, Path(name)):
                files, line = share.files(Path(name)), f"cd /{share.PLACE}; {line}"
    ended = agent.call(lifecycle.get(machine.name), [line], files=files)
    talk.show(ended.output)
    return ended.status


@group.command()
@click.pass_obj
def console(machine: Whose) -> int:
    """Its console, at this terminal. Ctrl-] leaves it.

    Example: klab debuggee console
    """
    return _terminal(machine, "console", "console", lambda _: b"\r")


@group.command()
@click.pass_obj
def kdb(machine: Whose) -> int:
    """Stop it in kdb, the kernel's own debugger, at this terminal. `go` lets it go on; Ctrl-] leaves.

    Example: klab debuggee kdb
    """
    return _terminal(machine, halt.KGDB, halt.LINES[halt.KGDB], halt.prompt)


def _terminal(machine: Whose, way: str, line: str, wake: Callable[[debuggees.Debuggee], bytes]) -> int:
    debuggee = lifecycle.get(machine.name)
    with halt.alone(debuggee, way):
        talk.begin(talk.TERMINAL)
        lines.carry(debuggee, line, lambda: wake(debuggee), source=sys.stdin.fileno(), sink=talk.raw)
    talk.hang_up(0, talk.DONE)


@group.command(hidden=True)
@click.argument("way", type=click.Choice(list(halt.LINES)))
@click.pass_obj
def line(machine: Whose, way: str) -> int:
    """The line for gdb, which runs on the machine: `target remote | klab debuggee line kgdb`."""
    debuggee = lifecycle.get(machine.name)
    with halt.line(debuggee, way):
        talk.begin(talk.PIPE)
        lines.carry(debuggee, halt.LINES[way], bytes, source=sys.stdin.fileno(), sink=talk.raw)
    return 0


@group.command(hidden=True)
@click.pass_obj
def facts(machine: Whose) -> int:
    """What gdb on the machine must know: the kernel's release and the build-id of its vmlinux."""
    debuggee = lifecycle.get(machine.name)
    say(f"{debuggee.debugged().manifest['release']} {debuggee.build_id}")
    return 0
