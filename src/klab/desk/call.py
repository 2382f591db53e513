# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a student's `klab`: a line of words in, text and an exit status out."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Callable
from typing import NoReturn

import click

from klab.desk import place as places
from klab.desk import talk
from klab.desk.talk import say
from klab.errors import KlabError

LINE = 4096  # bytes of a call
# A word with a line end or the like in it, as bash's printf %q writes it.
ANSI = re.compile(r"(?<!\S)\$'((?:[^'\\]|\\.)*)'(?!\S)")
# The machine's client takes it (roles/lab_machine/files/klab); here it stands for `--help`.
where_option = click.option(
    "--inside/--beside",
    default=None,
    expose_value=False,
    help="In this machine, or on the computer that runs it. Else beside, if the machine is emulated.",
)
SETTINGS = {"help_option_names": ["-h", "--help"], "terminal_width": talk.WIDTH}


def words_of(line: str) -> list[str]:
    """The words that the client wrote with printf %q. Raises ValueError when they are torn."""

    def plain(found: re.Match[str]) -> str:
        text = re.sub(r"\\(.)", lambda one: r"\x1b" if one[1] in "eE" else one[0], found[1])
        ascii_ = "".join(c if c.isascii() else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in text)
        return shlex.quote(ast.literal_eval(f"b'{ascii_}'").decode(errors="replace"))

    return shlex.split(ANSI.sub(plain, line))


def answer(
    calls: click.Group, whose: Callable[[], places.Whose], read: Callable[[], str] | None = None
) -> NoReturn:
    """Read one call from standard input and answer it with one of `calls`. whose: the machine it is for."""
    line = (read or (lambda: sys.stdin.readline(LINE)))()
    code = 1
    try:
        # First the folder in which it was typed, as seen from ~/labs; empty: elsewhere. Then
        # the terminal at which: its kind, rows and columns; empty: none.
        place, screen, *words = words_of(line) or ["", ""]
        context = calls.make_context("klab", words or ["--help"], obj=whose())
        with context:
            context.meta[places.CALLED_IN], context.meta[talk.SCREEN] = place, screen
            code = calls.invoke(context)
    except KlabError as error:
        say(f"klab: {error}")
    except click.exceptions.Exit as done:  # --help
        code = done.exit_code
    except (click.ClickException, ValueError) as error:
        say(f"klab: {error.format_message() if isinstance(error, click.ClickException) else error}")
        code = 2
    except BrokenPipeError:
        sys.exit(1)  # the student went away
    talk.hang_up(code if isinstance(code, int) else 0)
