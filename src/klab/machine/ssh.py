# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach a machine over ssh, and wait for it without waiting in vain."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Timer

from klab.errors import KlabError
from klab.machine import console, process
from klab.machine.knock import Knock
from klab.machine.model import Machine, Reachable
from klab.paths import tilde
from klab.run import tail

POLL_S = 0.05
LOGIN_S = 30.0  # one command on a machine that has greeted
CLOCK_SLACK_S = 1.5  # what the clock may be off before it is set
SSH_FAILED = 255  # ssh's own exit status, as opposed to the remote command's
FINAL = ("Permission denied", "Host key verification failed", "Bad configuration")  # no use to try again


class LoginFailed(KlabError):
    """ssh itself failed, or took too long; while a machine starts that may pass."""


@dataclass(frozen=True)
class Said:
    """A finished remote command."""

    code: int
    out: str
    err: str


def line(machine: Reachable) -> str:
    """The command that logs in, as a person would type it."""
    return f"ssh -F {tilde(machine.ssh_config)} {machine.name}"


def _ssh(machine: Machine, command: str, timeout_s: float) -> list[str]:
    """ssh's words for one command over a connection that ends with it."""
    argv = ["ssh", "-F", str(machine.ssh_config), "-o", "BatchMode=yes"]
    argv += ["-o", f"ConnectTimeout={timeout_s / 2:.0f}"]  # for the greeting, too
    return [*argv, "-o", "ControlMaster=no", "-o", "ControlPath=none", machine.name, command]


def run(
    machine: Machine,
    command: str,
    *,
    timeout_s: float = LOGIN_S,
    answer: Callable[[str], str] | None = None,
) -> Said:
    """Run a shell command as the student, over a connection that ends with it.

    answer: gets the first line that the command prints, and what it returns is the
    command's input. Raises LoginFailed when ssh itself fails, and after
    `timeout_s` seconds.
    """
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            _ssh(machine, command, timeout_s), stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
    except OSError as error:
        raise KlabError(
            f"cannot run ssh: {error.strerror}", step="vm: ssh", mend="apt-get install openssh-client"
        ) from None
    timer = Timer(timeout_s, process.kill)
    timer.start()
    with process:
        try:
            said = answer(process.stdout.readline()) if answer and process.stdout else ""
            out, err = process.communicate(said)
        except BrokenPipeError:  # it ended before it was answered; its status says why
            out, err = process.communicate()
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
    if process.returncode == -signal.SIGKILL:
        raise LoginFailed(
            f"`{command}` did not end within {timeout_s:g} s",
            step="vm: ssh",
            machine=machine.name,
            log=machine.console,
            mend=f"klab vm console {machine.name}",
        )
    if process.returncode == SSH_FAILED:
        raise LoginFailed(
            f"ssh failed: {err.strip()}",
            step="vm: ssh",
            machine=machine.name,
            log=machine.console,
            mend=f"try it by hand: {line(machine)} -v",
        )
    return Said(process.returncode, out, err)


def hang_up(machine: Machine) -> None:
    """Close the shared connection, before the guest forgets it."""
    if machine.socket("ssh").exists():
        argv = ["ssh", "-F", str(machine.ssh_config), "-O", "exit", machine.name]
        subprocess.run(argv, capture_output=True, check=False, timeout=10)
        machine.socket("ssh").unlink(missing_ok=True)


def _dead_end(machine: Machine, began: float, deadline_s: float) -> None:
    """Raise KlabError when there is nothing to wait for any more."""
    step = "vm: wait for ssh"
    if process.pid_of(machine) is None:
        raise KlabError(
            f"QEMU is gone:\n{tail(machine.log) or console.tail(machine.console)}",
            step=step,
            machine=machine.name,
            log=machine.log,
            mend=f"read the log and {machine.console}, then klab vm start --name {machine.name}",
        )
    if sign := console.hopeless(console.lines(machine.console)):
        raise KlabError(
            f"{sign.name}: {sign.line}\nlast on the console:\n{console.tail(machine.console)}",
            step=step,
            machine=machine.name,
            log=machine.console,
            mend=sign.mend,
        )
    if time.monotonic() - began > deadline_s:
        last = console.tail(machine.console)
        raise KlabError(
            f"no answer over ssh within {deadline_s:g} s; last on the console:\n{last}",
            step=step,
            machine=machine.name,
            log=machine.console,
            mend="a loaded host may need more time (vm_timeout); otherwise read the console",
        )


def _login(machine: Machine) -> Said:
    """Log in and, in the same breath, see to the clock, where clock.py did not.

    A login may take many seconds, so the guest first tells its time and is answered ours.
    """

    def answer(said: str) -> str:
        now = time.time()
        right = said.strip().isdigit() and abs(int(said) - now) <= CLOCK_SLACK_S
        return "\n" if right else f"{now:.2f}\n"

    # printf is bash's own: a program more costs an emulated machine 60 ms.
    command = 'printf "%(%s)T\\n" -1; read -r now; [ -z "$now" ] || sudo -n date -u -s "@$now" >/dev/null'
    return run(machine, command, answer=answer)


def wait(
    machine: Machine, deadline_s: float, *, listening: bool = False, knock: Knock | None = None
) -> float:
    """Wait until ssh logs in, and put the guest's clock right; seconds it took.

    listening: its sshd ran in the snapshot it comes from, so log in without knocking. knock: was
    begun at a machine whose clock is right, and which let us in before: a greeting is enough.
    Raises KlabError as soon as the machine cannot answer any more, with what its
    console says, and at the deadline.
    """
    began = time.monotonic()
    known, knock = knock is not None, knock or Knock(machine.ssh_port, address=machine.listen)
    while True:
        try:
            while not (listening or knock.greeted(POLL_S)):
                _dead_end(machine, began, deadline_s)
            if known:
                return round(time.monotonic() - began, 2)
            said = _login(machine)
        except LoginFailed as error:
            if time.monotonic() - began > deadline_s or any(sign in error.what for sign in FINAL):
                raise
            _dead_end(machine, began, deadline_s)
            listening = False
            time.sleep(POLL_S)
            continue
        finally:
            knock.close()
        if said.code:
            raise KlabError(
                f"the machine's clock cannot be set: {said.err.strip()}",
                step="vm: clock",
                machine=machine.name,
                mend="the student needs sudo without a password; rebuild the image",
            )
        return round(time.monotonic() - began, 2)
