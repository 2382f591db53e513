# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell in a guest: its second UART is the terminal that someone types at."""

from __future__ import annotations

import os
import re
import select
import shlex
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from klab.errors import KlabError
from klab.guest import process, qemu

STEP = "guest: shell"
CHUNK = 4096
SHELL_S = 8 * 3600.0  # until a shell that nobody left is ended
_SCREEN = re.compile(r"([\w.+-]{1,40}) ([1-9]\d{0,3}) ([1-9]\d{0,3})")


def here() -> str:
    """The terminal that this process runs in, as `Terminal` wants it. Raises KlabError for none."""
    if not sys.stdin.isatty():
        raise KlabError(
            "a shell wants a terminal, and there is none", step=STEP, mend="name a command: … -- COMMAND"
        )
    size = os.get_terminal_size(sys.stdin.fileno())
    return f"{os.environ.get('TERM', 'dumb')} {size.lines} {size.columns}"


@contextmanager
def raw(source: int) -> Iterator[None]:
    """Each key as it is typed, also Ctrl-C: the guest's terminal knows what it means."""
    if not os.isatty(source):  # a connection: whoever types is at its other end
        yield
        return
    before = termios.tcgetattr(source)
    try:
        tty.setraw(source)
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)


def carry(line: socket.socket, source: int, sink: Callable[[bytes], None], leave: bytes = b"") -> bool:
    """Carry bytes between a line and keys and a screen until one of them ends; whether the keys did.

    source: where keys come from; sink: takes what is heard; leave: the key that ends it.
    Raises OSError when the line breaks.
    """
    with raw(source):
        while True:
            for ready in select.select([line.fileno(), source], [], [])[0]:
                if ready != source:
                    if not (heard := line.recv(CHUNK)):
                        return False
                    sink(heard)
                    continue
                keys = os.read(source, CHUNK)
                head, left, _ = keys.partition(leave) if leave else (keys, b"", b"")
                line.sendall(head)
                if left or not keys:
                    return True


@dataclass(frozen=True)
class Terminal:
    """Someone's keys, from the file `source`, and screen, which `sink` writes to.

    screen: name, rows and columns; an unknown kind counts as the simplest of 24 times 80.
    left: set when there are no more keys, as whoever typed them has gone.
    """

    screen: str
    source: int
    sink: Callable[[bytes], None]
    left: Event = field(default_factory=Event)

    def shell(self, base: str) -> str:
        """The command that is a shell at this terminal in a guest."""
        found = _SCREEN.fullmatch(self.screen)
        kind, rows, columns = found.groups() if found else ("dumb", "24", "80")
        shell = "exec bash -i" if base == qemu.DEBIAN else "PS1='\\w # ' exec sh -i"
        inner = f"stty sane rows {rows} cols {columns}; export TERM={kind}; {shell}"
        return f"setsid -c sh -c {shlex.quote(inner)} <>/dev/ttyS1 >&0 2>&1"

    def serve(self, path: Path) -> None:
        """Carry bytes between a UART's socket and keys and screen until one of them ends."""
        with suppress(OSError), process.connect(path) as line:
            if carry(line, self.source, self.sink):
                self.left.set()
