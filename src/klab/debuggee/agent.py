# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls into a debuggee: files laid there, a command run there, by data/debuggee-agent.sh.

They take another way than the debugger's lines, so that each can be checked by the other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from klab import accel, lock
from klab import digest as digests
from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError
from klab.guest import initramfs, kept, runner
from klab.machine import console, process
from klab.paths import data_file

POLL_S = 0.01
CALL_S = 60.0


def further() -> kept.Further:
    """What makes a debuggee of a guest: it waits for calls then. Its kernel's ELF notes are noted in hex."""
    script = data_file("debuggee-agent.sh").read_bytes()
    notes = {"klab/call": (initramfs.PROGRAM, b"cat /sys/kernel/notes\n")}

    def bring(folder: Path) -> dict[str, str]:
        runner.hand_over(folder, {"klab/command": (initramfs.PROGRAM, script)})
        _reached(folder, 0)
        with (folder / "input").open("wb") as line:
            line.write(runner.handed(notes, 1))
        _reached(folder, 1)
        return {"notes": (folder / "output").read_bytes().hex()}

    return kept.Further(digests.of_data([script.decode()]), bring)


def _reached(folder: Path, number: int) -> None:
    """Wait for the end of a call to a guest that is about to be kept."""
    until = time.monotonic() + CALL_S * accel.patience()
    while number not in statuses(folder):
        if time.monotonic() > until:
            lines = "\n".join(console.lines(folder / "console.log")[-10:])
            raise KlabError(
                f"the guest does not take calls; last on its console:\n{lines}",
                step=STEP,
                mend="klab guest run --kernel … -- dmesg shows whether that kernel runs at all",
            )
        time.sleep(POLL_S)


@dataclass(frozen=True)
class Called:
    """A command that ended in a debuggee."""

    status: int
    output: bytes


def call(
    debuggee: Debuggee,
    command: Sequence[str],
    *,
    files: Mapping[str, tuple[int, bytes]] | None = None,
    deadline_s: float = CALL_S,
) -> Called:
    """Run `command` (shell words) there and wait for its end.

    files: laid there first (initramfs.Files). Raises KlabError when the debuggee does not answer
    in time: it may stand in the debugger.
    """
    with _line(debuggee):
        output = debuggee.folder / "output"
        before, number = output.stat().st_size, time.time_ns()
        line = runner.line(command)
        body = {**(files or {}), "klab/call": (initramfs.PROGRAM, f"{line}\n".encode())}
        _send(debuggee, runner.handed(body, number), deadline_s)
        status = wait(debuggee, number, deadline_s)
        with output.open("rb") as stream:
            stream.seek(before)
            return Called(status, stream.read())


def greet(debuggee: Debuggee, deadline_s: float) -> None:
    """Wait for its answer, for which it begins no program. Raises KlabError when it does not come in time."""
    with _line(debuggee):
        number = time.time_ns()
        _send(debuggee, f"0 0 {number}\n".encode(), deadline_s)
        wait(debuggee, number, deadline_s)


def _line(debuggee: Debuggee) -> AbstractContextManager[None]:
    """One call at a time."""
    return lock.held(debuggee.folder / "call.lock", f"a call to {debuggee.name}")


def begin(debuggee: Debuggee, command: Sequence[str]) -> None:
    """Have a command run there whose end nobody waits for, as it stops the debuggee."""
    call(debuggee, [f"(usleep 100000; {runner.line(command)}) >/dev/null 2>&1 &"])


def answers(debuggee: Debuggee, seconds: float) -> bool:
    """Whether it does what it is told."""
    try:
        greet(debuggee, seconds)
    except KlabError:
        return False
    return True


def wait(debuggee: Debuggee, number: int, deadline_s: float) -> int:
    """The status of the call with that number, once it is there. Raises KlabError when it does not come."""
    until, pid = time.monotonic() + deadline_s, debuggee.pid
    while number not in (found := statuses(debuggee.folder)):
        if pid is None or not process.is_ours(pid, debuggee.uuid):
            lines = console.lines(debuggee.console)
            sign = console.hopeless(lines)
            why = f"{sign.name}: {sign.line}" if sign else "it ended"
            raise KlabError(
                f"the debuggee {debuggee.name} has gone: {why}",
                step=STEP,
                log=debuggee.console,
                mend="klab dump list shows its dump"
                if debuggee.kdump
                else f"read its console; then klab debuggee reset --name {debuggee.name}",
            )
        if time.monotonic() > until:
            raise silent(debuggee, deadline_s)
        time.sleep(POLL_S)
    return found[number]


def silent(debuggee: Debuggee, seconds: float) -> KlabError:
    """That it does not answer, and what to do."""
    return KlabError(
        f"the debuggee {debuggee.name} does not answer within {seconds:g} s:"
        " it stands in a debugger, or hangs",
        step=STEP,
        log=debuggee.console,
        mend=f"let it go on in gdb or kdb; else klab debuggee reset --name {debuggee.name}",
    )


def _send(debuggee: Debuggee, data: bytes, deadline_s: float) -> None:
    """Write to the debuggee's input for as long as it takes some."""
    until = time.monotonic() + deadline_s
    try:
        fifo = os.open(debuggee.folder / "input", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        raise silent(debuggee, 0) from None
    try:
        rest = memoryview(data)
        while rest:
            with suppress(BlockingIOError):
                rest = rest[os.write(fifo, rest) :]
                continue
            if time.monotonic() > until:
                raise silent(debuggee, deadline_s)
            time.sleep(POLL_S)
    finally:
        os.close(fifo)


def statuses(folder: Path) -> dict[int, int]:
    """The exit statuses of all calls so far, by their numbers; 0 is the agent's own word."""
    with suppress(OSError):
        lines = (folder / "status").read_text().splitlines(keepends=True)
        words = [line.split() for line in lines if line.endswith("\n")]
        return {int(word[1]): int(word[2]) for word in words if word[:1] == ["called"]}
    return {}
