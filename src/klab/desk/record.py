# SPDX-License-Identifier: GPL-3.0-or-later
"""What a seat knows of its labs: started when, hints taken, verdicts. One file per machine.

It lies in the machine's folder on the hypervisor: it outlives reboots and resets of the
machine, and the student's root cannot edit it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from klab import lock
from klab.errors import KlabError
from klab.machine.model import Reachable

RECORD = "seat.json"
CLOSED = "closed"  # the file that names them, one a line
KEPT = 50  # checks remembered of each lab


@dataclass
class Check:
    """One verdict: word (pass, fail, cannot tell), the seed it was made with, epoch seconds."""

    at: int
    word: str
    seed: int


@dataclass
class Progress:
    """A lab on a seat. started: epoch seconds, 0 before; hints: how many were shown."""

    started: int = 0
    hints: int = 0
    checks: list[Check] = field(default_factory=list)

    @property
    def word(self) -> str:
        """One word for tables: passed stays passed, whatever was tried afterwards."""
        if any(check.word == "pass" for check in self.checks):
            return "passed"
        if self.checks:
            return "tried"
        return "started" if self.started else "new"


def _file(machine: Reachable) -> Path:
    return machine.file(RECORD)


def load(machine: Reachable, name: str = RECORD) -> dict[str, Progress]:
    """All labs of the seat by id. Raises KlabError when the record, of that name, cannot be read."""
    try:
        body: dict[str, Any] = json.loads(machine.file(name).read_text())
        return {
            lab: Progress(kept["started"], kept["hints"], [Check(**check) for check in kept["checks"]])
            for lab, kept in body.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KlabError(
            f"the record of {machine.name}'s labs cannot be read: {error}",
            step="desk: read the record",
            machine=machine.name,
            log=machine.file(name),
            mend=f"move {machine.file(name)} away; labs on the machine stay as they are",
        ) from None


@contextmanager
def changing(machine: Reachable, lab: str) -> Iterator[Progress]:
    """Change a lab's progress; it is saved, whole, when the block ends well."""
    with lock.held(machine.file("seat.lock"), f"the record of {machine.name}", wait=True):
        labs = load(machine)
        progress = labs.setdefault(lab, Progress())
        yield progress
        del progress.checks[:-KEPT]
        draft = machine.file("seat.json.new")
        draft.write_text(json.dumps({name: asdict(p) for name, p in labs.items()}, indent=2) + "\n")
        draft.replace(_file(machine))


def closed(machine: Reachable) -> set[str]:
    """The labs that a teacher has taken back from the seat."""
    try:
        return set(machine.file(CLOSED).read_text().split())
    except FileNotFoundError:
        return set()


def close(machine: Reachable, labs: Iterable[str], *, again: bool = False) -> bool:
    """Take labs back from the seat, or (again) give them again; whether that changed anything."""
    with lock.held(machine.file("seat.lock"), f"the record of {machine.name}", wait=True):
        before = closed(machine)
        after = before - set(labs) if again else before | set(labs)
        if after != before:
            draft = machine.file(f"{CLOSED}.new")
            draft.write_text("".join(f"{lab}\n" for lab in sorted(after)))
            draft.replace(machine.file(CLOSED))
    return after != before


def checked(machine: Reachable, lab: str, word: str, seed: int) -> None:
    """Note a verdict."""
    with changing(machine, lab) as progress:
        progress.checks.append(Check(int(time.time()), word, seed))
