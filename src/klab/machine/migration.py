# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's migration to and from a file, beside memory that is a file itself.

With its capability x-ignore-shared the stream holds no memory that is mapped from a shared
file, so it is small and quick. QEMU 7.2 has no option for that, so it is told over QMP.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError

POLL_S = 0.01
WITHOUT_MEMORY, WITH_MEMORY = (
    {"capabilities": [{"capability": "x-ignore-shared", "state": state}]} for state in (True, False)
)


async def _ended(qemu: QMPClient) -> None:
    """Wait for the end of a migration. Raises QMPError when it does not end well."""
    while True:
        seen: Any = await qemu.execute("query-migrate")
        if seen.get("status") == "completed":
            return
        if seen.get("status") in {"failed", "cancelled"}:
            raise QMPError(seen.get("error-desc", "the migration failed"))
        await asyncio.sleep(POLL_S)


async def save(qemu: QMPClient, target: Path) -> None:
    """Write the guest's state, with which it stands still. Raises QMPError."""
    await qemu.execute("migrate-set-capabilities", WITHOUT_MEMORY)
    await qemu.execute("migrate", {"uri": f"exec:cat >{shlex.quote(str(target))}"})
    await _ended(qemu)
    if not target.stat().st_size:  # cat has no way to tell QEMU that the disk is full
        raise QMPError("nothing was written")


async def begin(qemu: QMPClient, state: Path) -> None:
    """Have a QEMU that was started with `-incoming defer` read a state, and go on."""
    await qemu.execute("migrate-set-capabilities", WITHOUT_MEMORY)
    await qemu.execute("migrate-incoming", {"uri": f"exec:cat {shlex.quote(str(state))}"})


async def load(qemu: QMPClient, state: Path) -> None:
    """The same, until it has been read; for a QEMU that may start no program, too. Raises QMPError."""
    await qemu.execute("migrate-set-capabilities", WITHOUT_MEMORY)
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb") as target:
        feeder = subprocess.Popen(["cat", state], stdout=target)
    try:
        with os.fdopen(ours, "rb") as source:
            qemu.send_fd_scm(source.fileno())
            await qemu.execute("getfd", {"fdname": "state"})
        await qemu.execute("migrate-incoming", {"uri": "fd:state"})
        await _ended(qemu)
    finally:
        feeder.kill()
        feeder.wait()
    # What QEMU is told stays with it: its next stream, libvirt's for one, has the memory in it.
    await qemu.execute("migrate-set-capabilities", WITH_MEMORY)
