# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes back to the student's client: text, a terminal's bytes, and an exit status."""

from __future__ import annotations

import re
import sys
from typing import NoReturn

WIDTH = 96  # columns
SCREEN = "klab.screen"  # of a call: the terminal at which it was typed
END = "\x1e"  # ASCII "record separator": the line after it is the exit status
# From here on the connection is a terminal's, until an order that terminals ignore (an
# operating system command, ECMA-48) brings the exit status in three digits; or it is a
# program's, which knows by itself when it ends.
TERMINAL, DONE = f"{END}terminal\n", "\x1b]klab {:3d}\x07"
PIPE = f"{END}pipe\n"
# Whatever a student's program printed, it is text for a terminal, not orders to it.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


def say(text: str) -> None:
    """Send lines to the student."""
    sys.stdout.write(CONTROL.sub("?", text) + "\n")
    sys.stdout.flush()


def show(output: bytes) -> None:
    """Send what a program printed, as it comes."""
    sys.stdout.write(CONTROL.sub("?", output.decode(errors="replace")))
    sys.stdout.flush()


def raw(output: bytes) -> None:
    """Send bytes as they are: to a terminal, or to a program."""
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()


def begin(what: str) -> None:
    """From here on the connection is TERMINAL's or PIPE's."""
    sys.stdout.write(what)
    sys.stdout.flush()


def hang_up(code: int, end: str = END + "{}\n") -> NoReturn:
    """Send the exit status, which ends the call."""
    sys.stdout.write(end.format(code))
    sys.stdout.flush()
    sys.exit(0)
