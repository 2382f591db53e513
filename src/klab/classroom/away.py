# SPDX-License-Identifier: GPL-3.0-or-later
"""The desks of other computers: what students do there is noted there, and a lab is closed there, too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from klab.classroom import hypervisors, parallel, reach
from klab.classroom.model import Class, Hypervisor, Seat
from klab.desk import record
from klab.errors import KlabError

FILE = "there.json"  # in the seat's folder: its record as last fetched
DEADLINE_S = 30.0


def fetch(class_: Class, seats: Iterable[Seat], *words: str) -> dict[str, KlabError]:
    """Keep what the desks have noted of the seats that other computers hold; errors by seat.

    words: more for `klab vm labs`. One call for each hypervisor, all at once.
    """
    held: dict[str, list[Seat]] = {}
    for seat in seats:
        if seat.hypervisor and class_.hypervisor(seat.hypervisor).address:
            held.setdefault(seat.hypervisor, []).append(seat)

    def one(by: Hypervisor) -> None:
        names = [word for seat in held[by.name] for word in ("--name", seat.name)]
        other = hypervisors.there(by)
        said = other.klab(["vm", "labs", *names, *words], deadline_s=DEADLINE_S)["labs"] if other else {}
        for name, labs in said.items():
            reach.replace(reach.private(class_.seat_dir(name)) / FILE, json.dumps(labs))

    found = parallel.over([class_.hypervisor(name) for name in held], one)
    return {
        seat.name: error
        for name, error in found.items()
        if isinstance(error, KlabError)
        for seat in held[name]
    }


def close(
    class_: Class, seats: Iterable[Seat], labs: Sequence[str], *, again: bool = False
) -> dict[str, KlabError]:
    """Take labs back from the seats that other computers hold, or (again) give them again; errors by seat."""
    option = "--open" if again else "--close"
    return fetch(class_, seats, *(word for lab in labs for word in (option, lab)))


def load(seat: reach.Reached) -> dict[str, record.Progress]:
    """All labs of a seat: what was done from here, and at the desk of the computer that holds it.

    Raises KlabError when a record cannot be read.
    """
    mine, theirs = record.load(seat), record.load(seat, FILE)
    return {
        lab: _both(mine.get(lab, record.Progress()), theirs.get(lab, record.Progress()))
        for lab in [*mine, *(lab for lab in theirs if lab not in mine)]
    }


def _both(one: record.Progress, other: record.Progress) -> record.Progress:
    started = [at for at in (one.started, other.started) if at]
    checks = sorted([*one.checks, *other.checks], key=lambda check: check.at)
    return record.Progress(min(started, default=0), max(one.hints, other.hints), checks)
