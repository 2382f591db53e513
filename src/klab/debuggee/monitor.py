# SPDX-License-Identifier: GPL-3.0-or-later
"""Words with a debuggee's QEMU, over QMP."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from qemu.qmp import QMPClient

from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError
from klab.machine import qmp

POLL_S = 0.02


def ask(debuggee: Debuggee, name: str, *, patience_s: float = qmp.ANSWER_S, **arguments: Any) -> Any:
    """Run one QMP command and return its answer. Raises KlabError, after `patience_s` at the latest."""

    async def talk(client: QMPClient) -> Any:
        return await client.execute(name, arguments or None)

    try:
        return qmp.session(debuggee.place / "qmp", debuggee.name, talk, patience_s)
    except qmp.Unanswered as why:
        raise KlabError(
            f"{debuggee.name} does not do {name}: {why}",
            step=STEP,
            log=debuggee.folder / "qemu.log",
            mend=f"klab debuggee reset --name {debuggee.name}",
        ) from None


def state(debuggee: Debuggee) -> str:
    """What QEMU says of it: running, or paused when its stub has stopped it."""
    return str(ask(debuggee, "query-status")["status"])


def begun(debuggee: Debuggee, patience_s: float) -> None:
    """Wait until it runs, which it does when QEMU has read its state. Raises KlabError when it does not."""
    until = time.monotonic() + patience_s
    while True:
        with suppress(KlabError):  # it may not listen yet
            if state(debuggee) == "running":
                return
        if not debuggee.pid or time.monotonic() > until:
            raise KlabError(
                f"{debuggee.name} did not go on from its state",
                step=STEP,
                log=debuggee.folder / "qemu.log",
                mend=f"klab debuggee reset --name {debuggee.name}",
            )
        time.sleep(POLL_S)


def go_on(debuggee: Debuggee) -> None:
    """Let it run again if QEMU has stopped it."""
    if debuggee.pid and state(debuggee) != "running":
        ask(debuggee, "cont")
