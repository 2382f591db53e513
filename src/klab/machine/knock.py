# SPDX-License-Identifier: GPL-3.0-or-later
"""Knock at a machine's ssh port until the server greets."""

from __future__ import annotations

import socket
import time

from klab.machine.ports import LOOPBACK

SILENT_S = 0.4  # a guest whose network is down says nothing: try again after this,
MORE = 1.25  # and then each time a bit later: one that is slow must not drown in knocks
BUSY_S = 10.0  # a server that has accepted is left this long to greet


class Knock:
    """One series of knocks.

    A connection alone says nothing: QEMU's user network accepts before the guest does.
    Until the guest's network is up nothing comes back, later a refusal does at once, and
    then silence means a server that is busy. It is left its time: sshd penalises whoever
    hangs up without logging in (PerSourcePenalties).
    """

    def __init__(self, port: int, patience_s: float = SILENT_S, address: str = LOOPBACK) -> None:
        self.place = (address, port)
        self.patience_s = patience_s
        self.link: socket.socket | None = None
        self.since = 0.0

    def greeted(self, wait_s: float) -> bool:
        """Go on knocking for about `wait_s` seconds; whether the greeting came."""
        try:
            if self.link is None:
                self.since = time.monotonic()
                self.link = socket.create_connection(self.place, BUSY_S)
            self.link.settimeout(wait_s)
            greeting = self.link.recv(4)
        except TimeoutError:
            if time.monotonic() - self.since > self.patience_s:
                self.patience_s = min(self.patience_s * MORE, BUSY_S)
                self.close()
            return False
        except OSError:
            greeting = b""
        self.close()
        if greeting == b"SSH-":
            return True
        self.patience_s = BUSY_S
        time.sleep(wait_s)
        return False

    def close(self) -> None:
        """Hang up."""
        if self.link:
            self.link.close()
        self.link = None


def greets(port: int, wait_s: float = SILENT_S) -> bool:
    """Whether an ssh server greets on the port (of 127.0.0.1) within `wait_s` seconds."""
    knock = Knock(port)
    try:
        return knock.greeted(wait_s)
    finally:
        knock.close()
