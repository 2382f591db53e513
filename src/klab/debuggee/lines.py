# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal at one of a debuggee's lines."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress

from klab.debuggee.model import Debuggee
from klab.guest import process
from klab.guest.terminal import raw

LEAVE = b"\x1d"  # Ctrl-], as telnet has it
CHUNK = 4096


def carry(
    debuggee: Debuggee, name: str, prompted: Callable[[], bool], *, source: int, sink: Callable[[bytes], None]
) -> None:
    """Carry bytes between a line and a file and a screen, until Ctrl-] on a terminal or the end of either.

    name: of the line's socket. prompted: is called when someone listens; unless it leads to a
    prompt, one is asked for. source: where keys come from; sink: takes what is heard.
    """
    with process.connect(debuggee.place / name) as line, raw(source), suppress(OSError):
        if not prompted():
            line.sendall(b"\r")
        while True:
            for ready in select.select([line.fileno(), source], [], [])[0]:
                if ready != source:
                    if not (heard := line.recv(CHUNK)):
                        return
                    sink(heard)
                else:
                    keys = os.read(source, CHUNK)
                    head, left, _ = keys.partition(LEAVE)
                    line.sendall(head)
                    if left or not keys:
                        return


def attach(debuggee: Debuggee, name: str, prompted: Callable[[], bool]) -> None:
    """The same at this terminal."""

    def screen(heard: bytes) -> None:
        os.write(sys.stdout.fileno(), heard)

    carry(debuggee, name, prompted, source=sys.stdin.fileno(), sink=screen)
