# SPDX-License-Identifier: GPL-3.0-or-later
"""A few words with a kernel's debugger, in GDB's remote serial protocol.

Packets are `$data#checksum`, the checksum the sum of the data's bytes modulo 256 (GDB
manual, appendix E). A kernel that stops in kdb passes the first packet on to its gdb stub
(Linux, Documentation/process/debugging/kgdb.rst).
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from klab.guest import process

SYMBOL = "linux_banner"
LENGTH = 64  # bytes that are read at the symbol
PATIENCE_S = 600.0  # until the kernel has booted and stopped
ANSWER_S = 15.0
_STOPPED = re.compile(rb"kdb> |\$[TS]05")
_PACKET = re.compile(rb"\$([^#$]*)#[0-9a-fA-F]{2}")


class Line:
    """A serial line: what has come, and waiting for more."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.heard = b""

    def wait(self, pattern: re.Pattern[bytes], seconds: float) -> re.Match[bytes]:
        """What matches in what comes; raises EOFError or TimeoutError when nothing does."""
        until = time.monotonic() + seconds
        while not (found := pattern.search(self.heard)):
            self.stream.settimeout(max(until - time.monotonic(), 0.01))
            part = self.stream.recv(4096)
            if not part:
                raise EOFError("the line was closed")
            self.heard += part
        return found

    def ask(self, words: str) -> str:
        """Send one packet and return the stub's answer to it."""
        self.heard = b""
        data = words.encode()
        self.stream.sendall(b"$" + data + b"#%02x" % (sum(data) % 256))
        answer = self.wait(_PACKET, ANSWER_S)[1].decode("ascii", "replace")
        self.stream.sendall(b"+")
        return answer


def address(system_map: str, symbol: str = SYMBOL) -> int | None:
    """Where System.map says that a symbol lies."""
    found = re.search(rf"^([0-9a-f]+) \w {symbol}$", system_map, re.MULTILINE)
    return int(found[1], 16) if found else None


def talk(path: Path, system_map: str, say: Callable[[str], None]) -> None:
    """Wait until the kernel stops, ask why, read its banner in memory, let it go on.

    path: the socket of the serial line. What was heard goes to `say`, line by line; a
    kernel that never stops is heard as a line that was closed.
    """
    try:
        with process.connect(path) as stream:
            line = Line(stream)
            line.wait(_STOPPED, PATIENCE_S)
            say(f"kgdb: stop reply {line.ask('?')}")
            if (place := address(system_map)) is not None:
                said = line.ask(f"m{place:x},{LENGTH:x}")
                with suppress(ValueError):
                    said = bytes.fromhex(said).decode("ascii", "replace")
                say(f"kgdb: {SYMBOL} reads {said}")
            say(f"kgdb: detach {line.ask('D')}")
            stream.settimeout(None)
            while stream.recv(4096):  # it may still talk, and must not wait for a reader
                pass
    except (OSError, EOFError) as error:
        say(f"kgdb: no more answer: {error}")
