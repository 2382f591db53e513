# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a guest that it wakes up: back from a snapshot, its clock is in the past.

A line goes through a FIFO into a port of the guest, where klab-wake.service (role
lab_machine) waits for it: the time, a number to answer with, and maybe a script. That runs
beside the login; to set the clock from the login takes sudo, a third of a second under
emulation. Nobody has to listen: a login looks at the clock and sets it where this did not.
"""

from __future__ import annotations

import base64
import os
import time
from contextlib import suppress

from klab.machine.model import Machine

FIFO = "clock"  # in the machine's folder. Unlike a socket it is always connected: a reader sleeps
PORT = "klab.clock"  # below /dev/virtio-ports
ANSWERS = "woken"  # in the machine's folder: the numbers that came back
BACK = "klab.woken"
POLL_S = 0.01


def prepare(machine: Machine) -> None:
    """An empty FIFO, before QEMU opens it, and no answer yet."""
    path = machine.file(FIFO)
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    machine.file(ANSWERS).unlink(missing_ok=True)


def tell(machine: Machine, script: str = "", *, answers: bool = True) -> str:
    """Tell the guest the time, if its QEMU holds the FIFO open. Returns the number that it answers with.

    script: bash, run there by root before the answer; its exit status stands behind the number.
    answers: whether the machine has the port for it.
    """
    number = str(time.time_ns())
    words = [f"{time.time():.2f}"]
    if answers:
        words += [number, base64.b64encode(script.encode()).decode()]
    with suppress(OSError):
        fifo = os.open(machine.file(FIFO), os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fifo, f"{' '.join(words).strip()}\n".encode())
        finally:
            os.close(fifo)
    return number


def answer(machine: Machine, number: str, patience_s: float) -> str | None:
    """What came back for a number, which is an exit status; None when nothing did in `patience_s` seconds."""
    until = time.monotonic() + patience_s
    while True:
        with suppress(OSError):
            for line in machine.file(ANSWERS).read_text(errors="replace").splitlines(keepends=True):
                if line.startswith(f"{number} ") and line.endswith("\n"):
                    return line.split()[1]
        if time.monotonic() > until:
            return None
        time.sleep(POLL_S)
