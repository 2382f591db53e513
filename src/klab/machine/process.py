# SPDX-License-Identifier: GPL-3.0-or-later
"""The QEMU process of a machine: is it really ours, start it, end it.

A pid file is only a hint: the pid may be dead or belong to someone else by now. The
machine's uuid on the command line is the proof, and by it a process is found even
when its pid file is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from klab.errors import KlabError
from klab.machine import qmp
from klab.machine.model import Machine
from klab.run import tail

LEAVE_S = 10.0  # seconds in which QEMU, told to quit, closes its disk image
START_S = 60.0  # seconds until QEMU answers; restoring a big machine under load is the long case


def is_ours(pid: int, uuid: str) -> bool:
    """Whether `pid` is a living QEMU with this uuid on its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX" and b"qemu" in words[0] and uuid.encode() in words


def pid_of(machine: Machine) -> int | None:
    """The pid of the machine's QEMU, or None. A stale pid file is removed."""
    try:
        hint = int(machine.pid_file.read_text())
    except (OSError, ValueError):
        hint = 0
    if hint and is_ours(hint, machine.uuid):
        return hint
    machine.pid_file.unlink(missing_ok=True)
    if found := find(machine.uuid):
        machine.pid_file.write_text(f"{found}\n")
    return found


def find(uuid: str) -> int | None:
    """The QEMU with this uuid among all processes, or None."""
    numbers = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return next((number for number in numbers if is_ours(number, uuid)), None)


def _await_answer(machine: Machine, process: subprocess.Popen[bytes]) -> None:
    """Wait until QEMU answers, which it does when it stands, with its snapshot loaded."""
    trouble: KlabError | None = None
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        if machine.socket("qmp.sock").exists():
            try:
                qmp.command(machine, "query-status", patience_s=START_S)
                return
            except KlabError as error:
                trouble = error  # it may be about to end: then the log says why
        time.sleep(0.01)
    code = process.poll()
    how = f"ended at once (status {code})" if code is not None else f"does not answer ({trouble})"
    raise KlabError(
        f"QEMU {how}:\n{tail(machine.log)}",
        step="vm: start",
        machine=machine.name,
        log=machine.log,
        mend=f"read the log; its command line is in {machine.file('qemu.argv')}",
    )


def launch(machine: Machine, argv: Sequence[str]) -> int:
    """Start QEMU in a session of its own and wait until it answers.

    It outlives this process and Ctrl-C; if it cannot start, nothing is left of it.
    Raises KlabError with what QEMU said. Returns the pid.
    """
    for name in ("qmp.sock", "console.sock"):
        machine.socket(name).unlink(missing_ok=True)
    with machine.log.open("w") as log:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=machine.dir,
                start_new_session=True,
            )
        except OSError as error:
            raise KlabError(
                f"cannot run {argv[0]}: {error.strerror}",
                step="vm: start",
                machine=machine.name,
                mend="klab doctor names what is missing",
            ) from None
    try:
        _await_answer(machine, process)
    except BaseException:
        if process.poll() is None:
            process.kill()
        process.wait()
        machine.pid_file.unlink(missing_ok=True)
        raise
    return process.pid


def wait_gone(machine: Machine, patience_s: float) -> bool:
    """Wait for the machine's QEMU to end; False when it has not after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while pid := pid_of(machine):
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # reap it when it is our own child
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def leave(machine: Machine) -> None:
    """End QEMU without a word to the guest; by force when it does not go. Raises KlabError."""
    qmp.leave(machine)
    if not wait_gone(machine, LEAVE_S):
        kill(machine)


def kill(machine: Machine) -> None:
    """End the machine's QEMU, politely first, by pid; the disk stays consistent as after a power cut."""
    for sig, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        pid = pid_of(machine)
        if pid is None:
            return
        os.kill(pid, sig)
        if wait_gone(machine, patience_s):
            return
    raise KlabError(
        f"QEMU (pid {pid_of(machine)}) does not die",
        step="vm: stop",
        machine=machine.name,
        mend="look at the host's disk and at dmesg",
    )
