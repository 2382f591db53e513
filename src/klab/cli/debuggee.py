# SPDX-License-Identifier: GPL-3.0-or-later
"""klab debuggee: a guest to be debugged, over KGDB, QEMU's stub, kdb and its console."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from klab.cli.guest import LOST, file_option, laid
from klab.cli.verb import Outcome, verb
from klab.debuggee import agent, gdb, halt, lifecycle, lines, model
from klab.debuggee.proved import unproved
from klab.errors import KlabError
from klab.guest import qemu
from klab.paths import tilde

name_option = click.option("--name", default="debuggee", show_default=True, help="Which debuggee.")
ways = {"ignore_unknown_options": True}


@click.group()
def command() -> None:
    """A guest to be debugged: KGDB on its second serial line, QEMU's gdb stub, a console."""


@verb(command, "up")
@name_option
@click.option("--base", type=click.Choice([qemu.TINY, qemu.DEBIAN]), default=qemu.TINY, show_default=True)
@click.option("--memory", type=click.IntRange(min=128), default=lifecycle.MEMORY, show_default=True)
@click.option("--cpus", type=click.IntRange(1, 16), default=1, show_default=True)
@click.option("--kdump", is_flag=True, help="A crash leaves a dump (klab dump); there is no KGDB then.")
@click.option(
    "--crashkernel", type=click.IntRange(1), metavar="MIB", help="Kept free for that (default: enough)."
)
@click.argument("flavour", default="lab")
def up(
    *, name: str, base: str, memory: int, cpus: int, kdump: bool, crashkernel: int | None, flavour: str
) -> Outcome:
    """Put a debuggee up on a flavour's kernel, unless it is up.

    Example: klab debuggee up lab
    """
    found, changed = lifecycle.up(
        name,
        flavour,
        base=base,
        memory=memory,
        cpus=cpus,
        dumps_at_crash=kdump or bool(crashkernel),
        crashkernel=crashkernel or 0,
    )
    said = f"{name} is up{'' if changed else ' already'}: flavour {flavour}, {memory} MiB, {cpus} CPU"
    said += f"\n  console: {tilde(found.console)}"
    if found.kdump:
        said += "".join(
            f"\n  note:    {line}" for line in unproved(str(found.artefact().manifest["release"]))
        )
    return Outcome(changed, said, {"name": name, "folder": found.folder, "pid": found.pid})


@verb(command, "down")
@name_option
def down(name: str) -> Outcome:
    """End a debuggee, in whatever state it is.

    Example: klab debuggee down
    """
    changed = lifecycle.down(name)
    return Outcome(changed, f"{name} {'is down' if changed else 'was down'}")


@verb(command, "reset")
@name_option
def reset(name: str) -> Outcome:
    """Put a debuggee back to its first moment, also when it stands in a debugger or hangs.

    Example: klab debuggee reset
    """
    lifecycle.reset(name)
    return Outcome(True, f"{name} is as it was at its start")


@verb(command, "status")
@name_option
def status(name: str) -> Outcome:
    """Say whether a debuggee is up, and whether it runs. Exit status 1 when it does not.

    Example: klab debuggee status --json
    """
    known = lifecycle.settled(name)
    if not known or not known.pid:
        return Outcome(False, f"{name} is down", {"state": "down"}, code=1)
    state = lifecycle.state(known)
    facts = {"state": state, "flavour": known.flavour, "kernel": known.kernel, "pid": known.pid}
    text = f"{name} {lifecycle.STATES[state]}: flavour {known.flavour}, kernel {known.kernel[:12]}"
    return Outcome(False, text, facts, code=0 if state == "running" else 1)


@command.command("run", context_settings=ways)
@name_option
@file_option
@click.option("--timeout", default=agent.CALL_S, show_default=True, help="Seconds.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, required=True)
def run(name: str, extra: tuple[Path, ...], timeout: float, words: tuple[str, ...]) -> None:
    """Run WORDS in a debuggee; ends with their exit status, 125 when it does not answer.

    Example: klab debuggee run --file hang.ko -- insmod /klab/hang.ko
    """
    try:
        ended = agent.call(lifecycle.get(name), words, files=laid(extra), deadline_s=timeout)
    except KlabError as error:
        print(f"klab: {error}", file=sys.stderr)
        sys.exit(LOST)
    sys.stdout.buffer.write(ended.output)
    sys.exit(ended.status)


@command.command("gdb", context_settings=ways)
@name_option
@click.option("--kgdb", "way", flag_value=halt.KGDB, default=True, help="The kernel stops itself (default).")
@click.option("--stub", "way", flag_value=halt.STUB, help="QEMU stops it, whatever it does.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def debug(name: str, way: str, words: tuple[str, ...]) -> None:
    """Open gdb on a debuggee's kernel: stopped, with its symbols and helpers (lx-…). WORDS are gdb's.

    `detach` lets it go on. Example: klab debuggee gdb -- -batch -ex bt -ex lx-ps -ex detach
    """
    try:
        code = gdb.run(lifecycle.get(name), way, words)
    except KlabError as error:
        print(f"klab: {error}", file=sys.stderr)
        code = LOST
    sys.exit(code)


@command.command("console")
@name_option
def console(name: str) -> None:
    """A debuggee's console, at this terminal. Ctrl-] leaves it.

    Example: klab debuggee console
    """
    _attach(name, "console", "console", lambda _: b"\r")


@command.command("kdb")
@name_option
def kdb(name: str) -> None:
    """Stop a debuggee in kdb, the kernel's own debugger, at this terminal. `go` lets it go on; Ctrl-] leaves.

    Example: klab debuggee kdb
    """
    _attach(name, halt.KGDB, halt.LINES[halt.KGDB], halt.prompt)


def _attach(name: str, way: str, line: str, wake: Callable[[model.Debuggee], bytes]) -> None:
    try:
        debuggee = lifecycle.get(name)
        with halt.alone(debuggee, way):
            lines.attach(debuggee, line, lambda: wake(debuggee))
    except KlabError as error:
        print(f"klab: {error}", file=sys.stderr)
        sys.exit(LOST)
