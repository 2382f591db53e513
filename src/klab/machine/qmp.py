# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to a running QEMU over QMP: single commands, and snapshot jobs to their end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import ExecuteError, QMPClient, QMPError

from klab.errors import KlabError
from klab.machine.model import Machine

DISK = "disk"  # node name of the overlay in argv.py
ANSWER_S = 15.0  # seconds for one command
JOB_S = 120.0  # seconds for a snapshot job; a slow disk under load is the long case
Answer = TypeVar("Answer")

logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # we raise; it need not log too


class Unanswered(Exception):
    """QEMU did not do what it was told; says why, in a sentence."""


def session(
    socket: Path, name: str, talk: Callable[[QMPClient], Awaitable[Answer]], patience_s: float
) -> Answer:
    """Talk to the QEMU at a socket, for `patience_s` at the most. name: of whom we talk to.

    Raises Unanswered.
    """

    async def run() -> Answer:
        client = QMPClient(name)
        async with asyncio.timeout(patience_s):
            await client.connect(str(socket))
            try:
                return await talk(client)
            finally:
                await client.disconnect()

    try:
        return asyncio.run(run())
    except TimeoutError:
        what = f"QEMU's monitor did not answer within {patience_s:g} s"
    except ExecuteError as error:
        what = f"QEMU refused: {error}"
    except (QMPError, OSError, EOFError) as error:
        what = f"QEMU's monitor cannot be reached: {error}"
    raise Unanswered(what)


def _session(
    machine: Machine, talk: Callable[[QMPClient], Awaitable[Answer]], patience_s: float, step: str
) -> Answer:
    try:
        return session(machine.socket("qmp.sock"), machine.name, talk, patience_s)
    except Unanswered as why:
        mend = f"klab vm status --name {machine.name}"
        raise KlabError(str(why), step=step, machine=machine.name, log=machine.log, mend=mend) from None


async def _ask(client: QMPClient, name: str, **arguments: Any) -> Any:
    return await client.execute(name, arguments or None)


def command(machine: Machine, name: str, *, patience_s: float = ANSWER_S, **arguments: Any) -> Any:
    """Run one QMP command and return its answer. Raises KlabError, after `patience_s` at the latest."""

    async def talk(client: QMPClient) -> Any:
        return await _ask(client, name, **arguments)

    return _session(machine, talk, patience_s, f"vm: {name}")


def leave(machine: Machine) -> None:
    """Tell QEMU to quit at once; its disk image is closed in order."""
    with suppress(KlabError):  # it may close the line before it answers; the caller watches the process
        command(machine, "quit")


async def _job(client: QMPClient, kind: str, tag: str) -> None:
    for old in await _ask(client, "query-jobs"):  # left by a run that was cut off
        if str(old["id"]).startswith("klab-"):
            await _finish(client, old["id"])
    arguments: dict[str, Any] = {"job-id": f"klab-{kind}", "tag": tag, "devices": [DISK]}
    if kind != "snapshot-delete":
        arguments["vmstate"] = DISK
    await client.execute(kind, arguments)
    error = await _finish(client, f"klab-{kind}")
    if error:
        raise QMPError(error)


async def _finish(client: QMPClient, job: str) -> str:
    """Wait for a job and forget it; its error message, or nothing."""
    while True:
        states = {entry["id"]: entry for entry in await _ask(client, "query-jobs")}
        if job not in states:
            return ""
        if states[job]["status"] == "concluded":
            await client.execute("job-dismiss", {"id": job})
            return str(states[job].get("error", ""))
        await asyncio.sleep(0.02)


def resume(machine: Machine) -> bool:
    """Let the machine run if it stands still; whether it did. Raises KlabError when it cannot."""
    if command(machine, "query-status")["running"]:
        return False
    command(machine, "cont")
    time.sleep(0.2)  # a write that still fails stops it again at once
    status = command(machine, "query-status")
    if status["running"]:
        return True
    raise KlabError(
        f"the machine stands still: {status['status']}",
        step="vm: resume",
        machine=machine.name,
        log=machine.log,
        mend="io-error: free space on the host's disk; otherwise read QEMU's log",
    )


def save(machine: Machine, tag: str) -> None:
    """Save the running machine (disk, memory, devices) as snapshot `tag`, replacing it.

    It is paused afterwards, so that nothing happens that is not saved.
    """

    async def talk(client: QMPClient) -> None:
        await client.execute("stop")
        if tag in await _tags(client):
            await _job(client, "snapshot-delete", tag)
        await _job(client, "snapshot-save", tag)

    _session(machine, talk, JOB_S, f"vm: save snapshot {tag}")


def forget(machine: Machine, tag: str) -> None:
    """Delete snapshot `tag` of the running machine, if it is there."""

    async def talk(client: QMPClient) -> None:
        if tag in await _tags(client):
            await _job(client, "snapshot-delete", tag)

    _session(machine, talk, JOB_S, f"vm: delete snapshot {tag}")


async def _tags(client: QMPClient) -> set[str]:
    for node in await _ask(client, "query-named-block-nodes", flat=True):
        if node.get("node-name") == DISK:
            return {snapshot["name"] for snapshot in node["image"].get("snapshots", [])}
    return set()
