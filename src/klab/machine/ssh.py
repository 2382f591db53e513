# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach a machine over ssh, and wait for it without waiting in vain."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from klab.errors import KlabError
from klab.machine import console, process
from klab.machine.knock import Knock
from klab.machine.model import Machine
from klab.paths import tilde
from klab.run import tail

POLL_S = 0.05
LOGIN_S = 30.0  # one command on a machine that has greeted
CLOCK_SLACK_S = 1  # what the clock may be off before it is set
CLOCK_TRIES = 3
SSH_FAILED = 255  # ssh's own exit status, as opposed to the remote command's
FINAL = ("Permission denied", "Host key verification failed", "Bad configuration")  # no use to try again


class LoginFailed(KlabError):
    """ssh itself failed; while a machine starts that may pass."""


@dataclass(frozen=True)
class Said:
    """A finished remote command."""

    code: int
    out: str
    err: str


def line(machine: Machine) -> str:
    """The command that logs in, as a person would type it."""
    return f"ssh -F {tilde(machine.ssh_config)} {machine.name}"


def run(machine: Machine, command: str, *, timeout_s: float = LOGIN_S) -> Said:
    """Run a shell command as the student, over a connection that ends with it.

    Raises LoginFailed when ssh itself fails, KlabError after `timeout_s` seconds.
    """
    argv = ["ssh", "-F", str(machine.ssh_config), "-o", "BatchMode=yes"]
    argv += ["-o", f"ConnectTimeout={timeout_s / 2:.0f}"]  # for the greeting, too
    argv += ["-o", "ControlMaster=no", "-o", "ControlPath=none", machine.name, command]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=timeout_s, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise KlabError(
            f"cannot run ssh: {error.strerror}", step="vm: ssh", mend="apt-get install openssh-client"
        ) from None
    except subprocess.TimeoutExpired:
        raise KlabError(
            f"`{command}` did not end within {timeout_s:g} s",
            step="vm: ssh",
            machine=machine.name,
            log=machine.console,
            mend=f"klab vm console {machine.name}",
        ) from None
    if done.returncode == SSH_FAILED:
        raise LoginFailed(
            f"ssh failed: {done.stderr.strip()}",
            step="vm: ssh",
            machine=machine.name,
            log=machine.console,
            mend=f"try it by hand: {line(machine)} -v",
        )
    return Said(done.returncode, done.stdout, done.stderr)


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
    """Log in and, in the same breath, set the clock: back from a snapshot it is in the past.

    The login itself takes time, at a first boot under load many seconds: a clock that seems
    ahead by no more than that is right, and one that was set after a slow login is set again.
    """
    for _ in range(CLOCK_TRIES):
        now = time.time()
        said = run(
            machine,
            f"off=$(($(date +%s) - {now:.0f})); [ $off -ge -{CLOCK_SLACK_S} ] && [ $off -le {LOGIN_S:.0f} ]"
            f" || {{ sudo -n date -u -s @{now:.2f} >/dev/null && echo set; }}",
        )
        if said.code or "set" not in said.out or time.time() - now <= CLOCK_SLACK_S:
            break
    return said


def wait(machine: Machine, deadline_s: float, *, listening: bool = False) -> float:
    """Wait until ssh logs in, and put the guest's clock right; seconds it took.

    listening: its sshd ran in the snapshot it comes from, so log in without knocking.
    Raises KlabError as soon as the machine cannot answer any more, with what its
    console says, and at the deadline.
    """
    began = time.monotonic()
    knock = Knock(machine.ssh_port)
    while True:
        try:
            while not (listening or knock.greeted(POLL_S)):
                _dead_end(machine, began, deadline_s)
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
