#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A class opened over light seats while a tenth of them breaks: how often it must be begun again.

Real ssh, playbooks/classroom_open.yml as it is, seats that are computers already (so no images).
In the first run each tenth seat suffers one of these: its sshd is killed again and again, its host
is slow, its disk is full, its accounts' lock is held by a dead man's process, another host key was
known of it, it restarts; and the claim of a run that died lies there. What a person would mend
is mended between the runs. Then: all open after at most two resumes, nothing changed on the healthy.

  floor   as many logins at each seat, each for one program of Python, by ssh alone, as many at once
  again   another run with nothing to do

Run: .venv/bin/python bench/class_soak.py [N…] [--healthy]    default: 50. Needs root.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from classroom import light
from klab.classroom import definition, parallel, reach
from klab.classroom.model import Class
from klab.paths import repo_dir

RESUMES = 2
BUDGET_S, AGAIN_S, TIMES = 180.0, 30.0, 2.0  # for 50 seats: without faults; with nothing to do; the floor
FORKS = 20
LOGINS = 2  # as the account that Ansible has, and as the student's, for the labs
PLAY = "PLAY [Set up the computers"  # from here on seats are worked at
LAB = "raw-syscall"
SHARED = "-o ControlMaster=auto -o ControlPersist=60"
MARK = "/var/klab-soak"
NEWER = f"find /etc /home/student/labs -newer {MARK} -type f"  # what was written since


@dataclass
class Run:
    """One run of the playbook. bad: the hosts that failed or did not answer, and why."""

    wall_s: float
    code: int
    bad: dict[str, str] = field(default_factory=dict)


def opened(folder: Path, log: Path, env: dict[str, str], at_play: Callable[[], None] = lambda: None) -> Run:
    """Open the class. at_play: called when seats begin to be worked at."""
    argv = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/classroom_open.yml"]
    argv += ["-i", folder, "-f", str(FORKS)]
    began, called = time.perf_counter(), False
    with (
        log.open("w") as out,
        subprocess.Popen(
            argv, cwd=repo_dir(), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            out.write(line)
            if line.startswith(PLAY) and not called:
                called = True
                threading.Thread(target=at_play, daemon=True).start()
    text = log.read_text()
    bad = dict.fromkeys(re.findall(r"^(\S+) +: .*(?:unreachable|failed)=[1-9]", text, re.M), "not said")
    said = re.findall(r"^fatal: \[([^\]\s]+).*\n(?:  .*\n)*?    msg: (.*(?:\n     .*){0,4})", text, re.M)
    bad |= {name: " ".join(why.split())[:200] for name, why in said if name in bad}
    return Run(time.perf_counter() - began, process.returncode, bad)


def _killed(seat: light.Light) -> None:
    for _ in range(8):
        seat.kill_ssh()
        time.sleep(0.5)


def _restarted(seat: light.Light) -> None:
    time.sleep(1)
    seat.reboot(2)


# What happens to a seat while the playbook is at it, and what a person does about it afterwards.
FAULTS: dict[str, tuple[Callable[[light.Light], None], Callable[[light.Light], None]]] = {
    "ssh killed": (_killed, lambda seat: None),
    "slow": (lambda seat: seat.slow(0.1, 20), lambda seat: None),
    "disk full": (light.Light.fill, light.Light.free),
    "stale lock": (lambda seat: seat.hold("/etc/.pwd.lock", 5), lambda seat: None),
    "other host key": (lambda seat: None, lambda seat: None),  # known before, see `prepared`
    "restarted": (_restarted, light.Light.wait),
}


def prepared(class_: Class, ill: dict[str, str]) -> None:
    """Make what lies on this computer from earlier: a dead run's claim, and host keys of other machines."""
    reach.client_key(class_)
    dead = subprocess.Popen(["true"])
    dead.wait()
    claim = {"owner": "teacher", "host": os.uname().nodename, "pid": dead.pid, "began": 1, "at": 1}
    reach.replace(class_.state / "claim.json", json.dumps(claim))
    other = reach.client_key(class_).with_suffix(".pub").read_text().split()[:2]
    for name, fault in ill.items():
        if fault == "other host key":
            folder = reach.private(class_.seat_dir(name))
            reach.replace(folder / "known_hosts", f"{name} {' '.join(other)}\n")


def floor(seats: Sequence[light.Light], key: Path) -> float:
    """Wall seconds of the same logins by ssh alone."""

    def one(seat: light.Light) -> None:
        known = ["-o", f"UserKnownHostsFile={key.parent}/known", "-o", "StrictHostKeyChecking=accept-new"]
        argv = ["ssh", "-q", "-i", str(key), *known, f"student@{seat.address}"]
        for _ in range(LOGINS):
            subprocess.run([*argv, "sudo -n /usr/bin/python3 -c pass"], check=True)

    began = time.perf_counter()
    for error in parallel.over(seats, one, jobs=FORKS).values():
        if error:
            sys.exit(str(error))
    return time.perf_counter() - began


@contextmanager
def room(count: int) -> Iterator[tuple[Path, list[light.Light], dict[str, str]]]:
    """Seats, the folder of their class and key, and the environment for Ansible."""
    with tempfile.TemporaryDirectory(prefix="klab-soak-") as name:
        folder = Path(name)
        os.environ["KLAB_STATE"] = str(folder / "state")
        key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with light.world(count, key.with_suffix(".pub")) as seats:
            light.define(folder / "class", seats, labs=LAB)
            yield (
                folder,
                seats,
                {
                    **os.environ,
                    "ANSIBLE_CONFIG": str(repo_dir() / "ansible.cfg"),
                    "ANSIBLE_PRIVATE_KEY_FILE": str(key),
                    "ANSIBLE_HOST_KEY_CHECKING": "False",
                    "ANSIBLE_SSH_ARGS": f"{SHARED} -o UserKnownHostsFile=/dev/null",
                    "LC_ALL": "C.UTF-8",
                },
            )


def chosen(seats: Sequence[light.Light]) -> dict[str, str]:
    """Who suffers what: a tenth of the seats, and each fault once where there are enough."""
    count = max(len(seats) // 10, min(len(FAULTS), len(seats) // 2))
    spread = (seats[n * len(seats) // count].name for n in range(count))
    return dict(zip(spread, cycle(FAULTS), strict=False))


def soak(count: int, *, healthy: bool) -> bool:
    """Open a class of so many seats; whether that went as it should."""
    with room(count) as (folder, seats, env):
        class_ = definition.load(folder / "class")
        ill = {} if healthy else chosen(seats)
        by_name = {seat.name: seat for seat in seats}
        prepared(class_, ill)

        def hurt() -> None:
            for name, fault in ill.items():
                threading.Thread(target=FAULTS[fault][0], args=(by_name[name],), daemon=True).start()

        base = floor(seats, folder / "key")
        print(f"{count} seats, floor {base:.1f} s; faults: {ill or 'none'}", flush=True)
        runs = [opened(folder / "class", folder / "1.log", env, hurt)]
        told(runs[-1], 1)
        well = [seat for seat in seats if seat.name not in {*ill, *runs[0].bad}]
        for seat in well:
            seat.run(f"touch {MARK}")
        while runs[-1].code and len(runs) <= RESUMES:
            mend(class_, by_name, ill)
            runs.append(opened(folder / "class", folder / f"{len(runs) + 1}.log", env))
            told(runs[-1], len(runs))
        again = opened(folder / "class", folder / "again.log", env)
        told(again, 0)
        redone = {seat.name: found for seat in well if (found := seat.run(NEWER).split())}
        ready = [seat.name for seat in class_.seats if (reach.of(class_, seat).file("seat.json")).exists()]
        print(
            f"  open: {len(ready)} of {count}, after {len(runs) - 1} resumes; redone: {redone or 'nothing'}"
        )
        good = not (runs[-1].code or again.code or redone) and len(ready) == count
        if not good:
            sys.stdout.write((folder / f"{len(runs)}.log").read_text()[-6000:])
        if healthy and count <= 50:
            good &= runs[0].wall_s <= min(BUDGET_S, TIMES * base) and again.wall_s <= AGAIN_S
        return good


def mend(class_: Class, seats: dict[str, light.Light], ill: dict[str, str]) -> None:
    """What a person does between two runs."""
    for name, fault in ill.items():
        FAULTS[fault][1](seats[name])
        if fault == "other host key":
            (class_.seat_dir(name) / "known_hosts").unlink(missing_ok=True)


def told(run: Run, number: int) -> None:
    """Print what a run did. number: 0 is the one with nothing to do."""
    which = f"run {number}" if number else "again, with nothing to do"
    print(f"  {which}: {run.wall_s:.1f} s, failed: {len(run.bad)}", flush=True)
    for name, why in sorted(run.bad.items()):
        print(f"    {name}: {why}", flush=True)


def main() -> None:
    """Exit status 1 when a class did not open as it should."""
    words = [word for word in sys.argv[1:] if word != "--healthy"]
    good = [soak(int(word), healthy="--healthy" in sys.argv) for word in words or ["50"]]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
