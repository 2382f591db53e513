# SPDX-License-Identifier: GPL-3.0-or-later
"""Words with a debuggee's QEMU, over QMP."""

from __future__ import annotations

from typing import Any

from qemu.qmp import QMPClient

from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError
from klab.machine import qmp


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


def go_on(debuggee: Debuggee) -> None:
    """Let it run again if QEMU has stopped it."""
    if debuggee.pid and state(debuggee) != "running":
        ask(debuggee, "cont")
