# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a debuggee, and have its line for one debugger alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from klab import accel, lock
from klab.debuggee import agent, monitor
from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError

KGDB, STUB = "kgdb", "stub"
LINES = {KGDB: "serial", STUB: "gdb"}  # by its socket in the debuggee's folder
ANSWER_S = 2.0  # within which a debuggee that runs answers
STOP_S = 30.0
# The kernel says so, and is in its debugger a moment later.
SYSRQ, SETTLE_S = b"sysrq: DEBUG", 0.2
# A packet that leads from the gdb stub to kdb (kgdb.rst); kdb hands it on to the stub.
ESCAPE = b"$3#33"


def answers(debuggee: Debuggee) -> bool:
    """Whether it runs: one that does answers soon."""
    return agent.answers(debuggee, ANSWER_S * accel.patience())


def stop(debuggee: Debuggee) -> None:
    """Have the kernel stop itself, and wait until it has; one that stands still already stays so.

    Before it has stopped, what a debugger says would be no packet to it. Raises KlabError when it
    does not stop.
    """
    before = debuggee.console.stat().st_size
    if not answers(debuggee):
        return
    agent.begin(debuggee, ["echo g >/proc/sysrq-trigger"])
    until = time.monotonic() + STOP_S
    while SYSRQ not in debuggee.console.read_bytes()[before:]:
        if time.monotonic() > until:
            raise agent.silent(debuggee, STOP_S)
        time.sleep(agent.POLL_S)
    time.sleep(SETTLE_S * accel.patience())


def prompt(debuggee: Debuggee) -> bytes:
    """The same for who types at kdb; returns what to type for a prompt."""
    stop(debuggee)
    return ESCAPE


@contextmanager
def alone(debuggee: Debuggee, way: str) -> Iterator[None]:
    """The line for one debugger alone; raises KlabError when another one has it, or nobody listens."""
    if way == KGDB and debuggee.kdump:
        raise KlabError(
            f"{debuggee.name} writes a dump when it crashes, and has no KGDB",
            step=STEP,
            mend="klab debuggee gdb --stub; or klab debuggee down, and up without --kdump",
        )
    with lock.held(debuggee.folder / f"{way}.lock", f"the {way} line of {debuggee.name}"):
        yield


@contextmanager
def line(debuggee: Debuggee, way: str) -> Iterator[None]:
    """The debuggee stopped, and its line for one debugger alone, while the block runs.

    way: KGDB, the kernel stops itself; or STUB, QEMU stops it. A kernel that stands in its
    debugger already stays there. After the block QEMU's stop is over, whatever gdb left
    undone. Raises KlabError when another debugger has the line.
    """
    with alone(debuggee, way):
        if way == KGDB:
            stop(debuggee)
        try:
            yield
        finally:
            if way == STUB:
                monitor.go_on(debuggee)
