# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a guest's clock right: back from a snapshot it is in the past.

The time goes through a FIFO into a port of the guest, where klab-clock.service
(role lab_machine) waits for it. That runs beside the login; to set the clock from the
login takes sudo, a third of a second under emulation. Nobody has to listen: the login
looks at the clock and sets it where this did not (ssh.py).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from klab.machine.model import Machine

FIFO = "clock"  # in the machine's folder. Unlike a socket it is always connected: a reader sleeps
PORT = "klab.clock"  # below /dev/virtio-ports


def prepare(machine: Machine) -> None:
    """An empty FIFO, before QEMU opens it."""
    path = machine.file(FIFO)
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)


def tell(machine: Machine) -> None:
    """Tell the guest the time, if its QEMU holds the FIFO open."""
    with suppress(OSError):
        fifo = os.open(machine.file(FIFO), os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fifo, f"{time.time():.2f}\n".encode())
        finally:
            os.close(fifo)
