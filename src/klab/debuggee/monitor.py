# SPDX-License-Identifier: GPL-3.0-or-later
"""Words with a debuggee's QEMU, over QMP."""

from __future__ import annotations

import asyncio
from typing import Any

from qemu.qmp import QMPClient, QMPError

from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError

ANSWER_S = 15.0


def ask(debuggee: Debuggee, name: str, *, patience_s: float = ANSWER_S, **arguments: Any) -> Any:
    """Run one QMP command and return its answer. Raises KlabError, after `patience_s` at the latest."""

    async def talk() -> Any:
        client = QMPClient(debuggee.name)
        async with asyncio.timeout(patience_s):
            await client.connect(str(debuggee.place / "qmp"))
            try:
                return await client.execute(name, arguments or None)
            finally:
                await client.disconnect()

    try:
        return asyncio.run(talk())
    except (QMPError, OSError, EOFError, TimeoutError) as error:
        raise KlabError(
            f"QEMU of {debuggee.name} does not do {name}: {error or type(error).__name__}",
            step=STEP,
            log=debuggee.folder / "qemu.log",
            mend=f"klab debuggee reset --name {debuggee.name}",
        ) from None


def state(debuggee: Debuggee) -> str:
    """What QEMU says of it: running, or paused when its stub has stopped it."""
    return str(ask(debuggee, "query-status")["status"])


def go_on(debuggee: Debuggee) -> None:
    """Let it run again if QEMU has stopped it."""
    if debuggee.pid and state(debuggee) != "running":
        ask(debuggee, "cont")
