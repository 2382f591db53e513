# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal at one of a debuggee's lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

from klab.debuggee.model import Debuggee
from klab.guest import process, terminal

LEAVE = b"\x1d"  # Ctrl-], as telnet has it


def carry(
    debuggee: Debuggee, name: str, wake: Callable[[], bytes], *, source: int, sink: Callable[[bytes], None]
) -> None:
    """Carry bytes between a line and a file and a screen, until Ctrl-] on a terminal or the end of either.

    name: of the line's socket. wake: is called when someone listens; what it returns is typed
    first. source: where keys come from; sink: takes what is heard.
    """
    with process.connect(debuggee.place / name) as line, suppress(OSError):
        line.sendall(wake())
        terminal.carry(line, source, sink, LEAVE)


def attach(debuggee: Debuggee, name: str, wake: Callable[[], bytes]) -> None:
    """The same at this terminal."""

    def screen(heard: bytes) -> None:
        os.write(sys.stdout.fileno(), heard)

    carry(debuggee, name, wake, source=sys.stdin.fileno(), sink=screen)
