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


def attach(debuggee: Debuggee, name: str, prompted: Callable[[], bool]) -> None:
    """Carry bytes between a line and this terminal, until Ctrl-] or the end of either.

    name: of its socket. prompted: is called when someone listens; unless it leads to a prompt, one
    is asked for.
    """
    source = sys.stdin.fileno()
    with (
        process.connect(debuggee.place / name) as line,
        raw(source),
        suppress(OSError),
    ):
        if not prompted():
            line.sendall(b"\r")
        while True:
            for ready in select.select([line, source], [], [])[0]:
                if ready is line:
                    if not (heard := line.recv(CHUNK)):
                        return
                    os.write(sys.stdout.fileno(), heard)
                else:
                    keys = os.read(source, CHUNK)
                    head, left, _ = keys.partition(LEAVE)
                    line.sendall(head)
                    if left or not keys:
                        return
