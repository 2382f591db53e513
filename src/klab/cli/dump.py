# SPDX-License-Identifier: GPL-3.0-or-later
"""klab dump: what debuggees left behind, or what they are at this moment, for crash and drgn."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict

import click

from klab.cli.debuggee import name_option, ways
from klab.cli.guest import LOST
from klab.cli.verb import Outcome, verb
from klab.debuggee import crash as readers
from klab.debuggee import dumps, lifecycle
from klab.errors import KlabError
from klab.paths import tilde


@click.group()
def command() -> None:
    """Dumps of debuggees: taken, listed, opened with crash and drgn."""


@verb(command, "take")
@name_option
def take(name: str) -> Outcome:
    """Take a dump of a debuggee as it is, also of one that hangs. It goes on afterwards.

    Example: klab dump take
    """
    dump = dumps.live(lifecycle.get(name))
    return Outcome(True, _told(dump), {**asdict(dump), "vmcore": dump.vmcore})


@verb(command, "list")
@name_option
def listing(name: str) -> Outcome:
    """List a debuggee's dumps, the newest last.

    Example: klab dump list
    """
    lifecycle.settled(name)
    found = dumps.listed(name)
    text = "\n".join(_told(dump) for dump in found) or f"no dump of {name}"
    return Outcome(False, text, {"dumps": [{**asdict(dump), "vmcore": dump.vmcore} for dump in found]})


def _told(dump: dumps.Dump) -> str:
    return f"{dump.told}  {tilde(dump.vmcore)}"


def _open(tool: str, name: str, which: str, words: tuple[str, ...]) -> None:
    try:
        lifecycle.settled(name)
        argv, env = readers.words(dumps.get(name, which), tool, words)
        code = subprocess.run(argv, env={**os.environ, **env}, check=False).returncode
    except KlabError as error:
        print(f"klab: {error}", file=sys.stderr)
        code = LOST
    sys.exit(code)


which_option = click.option(
    "--dump", "which", default="", metavar="NAME", help="Which one (default: the newest)."
)


@command.command("crash", context_settings=ways)
@name_option
@which_option
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def crash(name: str, which: str, words: tuple[str, ...]) -> None:
    """Open a dump with crash, on its kernel's symbols. WORDS are crash's.

    Example: klab dump crash -- -s -i commands
    """
    _open("crash", name, which, words)


@command.command("drgn", context_settings=ways)
@name_option
@which_option
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def drgn(name: str, which: str, words: tuple[str, ...]) -> None:
    """Open a dump with drgn, or run a program on it. WORDS are drgn's.

    Example: klab dump drgn -- who.py
    """
    _open("drgn", name, which, words)
