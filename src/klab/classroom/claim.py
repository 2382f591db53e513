# SPDX-License-Identifier: GPL-3.0-or-later
"""One teacher at a time opens or closes a class: who it is, since when, and whether that run still lives."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from klab import lock
from klab.classroom import reach
from klab.classroom.model import Class
from klab.errors import KlabError

STEP = "class: claim"
FILE = "claim.json"
RUNNER = b"ansible-playbook"


@dataclass(frozen=True)
class Claim:
    """A run at work on a class. pid and began (clock ticks after the boot of `host`) name its process; at:
    epoch seconds."""

    owner: str
    host: str
    pid: int
    began: int
    at: int

    @property
    def run(self) -> tuple[str, int, int]:
        """What names the run."""
        return self.host, self.pid, self.began

    @property
    def lives(self) -> bool:
        """Whether that run may still be at work; of another computer's that cannot be known."""
        return self.host != socket.gethostname() or _began(self.pid) == self.began


def _stat(pid: int) -> list[str]:
    """The fields behind the name in /proc/PID/stat (proc(5)), the first of which is the third there."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _began(pid: int) -> int:
    """When a process began; 0 when there is none."""
    try:
        return int(_stat(pid)[19])
    except (OSError, IndexError, ValueError):
        return 0


def runner(pid: int = 0) -> int:
    """The playbook's run that process `pid` belongs to, by default the one that called this, else itself."""
    found = pid = pid or os.getppid()
    while pid > 1:
        try:
            if RUNNER in Path(f"/proc/{pid}/cmdline").read_bytes():
                found = pid
            pid = int(_stat(pid)[1])
        except (OSError, IndexError, ValueError):
            break
    return found


def _read(state: Path) -> Claim | None:
    try:
        return Claim(**json.loads((state / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def held(class_: Class) -> Claim | None:
    """Who is at work on the class, as far as that run may live."""
    claim = _read(class_.state)
    return claim if claim and claim.lives else None


def take(class_: Class, *, force: bool = False) -> Claim:
    """Note this run as the one at work. Raises KlabError while another is, unless `force`."""
    folder = reach.private(class_.state)
    pid = runner()
    mine = Claim(getpass.getuser(), socket.gethostname(), pid, _began(pid), int(time.time()))
    with lock.held(folder / f"{FILE}.lock", f"the claim on class {class_.name}", wait=True):
        other = held(class_)
        if other and not force and other.run != mine.run:
            minutes = (time.time() - other.at) / 60
            raise KlabError(
                f"{other.owner} on {other.host} is at work on class {class_.name}, for {minutes:.0f} min"
                f" (pid {other.pid})",
                step=STEP,
                mend="wait until that run ends; if it is dead: klab class claim --force",
            )
        reach.replace(folder / FILE, json.dumps(asdict(mine)) + "\n")
    return mine


def end(state: Path) -> None:
    """End the claim on the class with that state, if it is of the playbook that this process runs."""
    claim, pid = _read(state), runner(os.getpid())
    if claim and claim.run == (socket.gethostname(), pid, _began(pid)):
        (state / FILE).unlink(missing_ok=True)


def release(class_: Class) -> bool:
    """Let others at the class; whether there was a claim."""
    path = class_.state / FILE
    there = path.exists()
    path.unlink(missing_ok=True)
    return there
