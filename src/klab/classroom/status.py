# SPDX-License-Identifier: GPL-3.0-or-later
"""The class at a glance: seats and labs, who was active when, and how each machine is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from klab.catalogue import Lab
from klab.classroom import away, health, parallel, reach, results
from klab.classroom.gradebook import page
from klab.classroom.model import Class, Seat
from klab.classroom.plan import table
from klab.desk import record
from klab.errors import KlabError
from klab.kernel import artefact

# For one seat's answer: an emulated machine on a busy host takes seconds for its first handshake.
DEADLINE_S = 10.0
WIDE = 6  # labs that have a column of their own in the text form
LITTLE = 200  # MiB free on a disk, below which it is pointed at
WORDS = ("new", "started", "tried", "passed")


@dataclass(frozen=True)
class Row:
    """A seat. labs: the word of each; closed: those that are taken back; silent: why it does not answer."""

    seat: Seat
    labs: dict[str, str]
    closed: frozenset[str]
    active: int
    health: health.Health | None
    silent: str = ""
    notes: tuple[str, ...] = ()

    @property
    def looks(self) -> tuple[str, ...]:
        """What a teacher should look at."""
        return (self.silent, *self.notes) if self.silent else self.notes

    def as_dict(self) -> dict[str, Any]:
        """The row as data; active in epoch seconds, 0: never."""
        student = self.seat.student
        return {
            "seat": self.seat.name,
            "login": student.login,
            "student": student.name,
            "group": student.group,
            "up": self.health is not None,
            "silent": self.silent,
            "active": self.active,
            "health": self.health.as_dict() if self.health else None,
            "notes": self.notes,
            "labs": self.labs,
            "closed": sorted(self.closed),
        }


@dataclass(frozen=True)
class Status:
    """All of it at one time. at: epoch seconds; wanted: the release that seats should run, "" if unknown."""

    class_: Class
    labs: tuple[Lab, ...]
    rows: tuple[Row, ...]
    at: int
    wall_s: float
    wanted: str = field(default="")

    def as_dict(self) -> dict[str, Any]:
        """The status as data."""
        return {
            "class": self.class_.name,
            "at": self.at,
            "wall_s": self.wall_s,
            "release": self.wanted,
            "labs": [lab.id for lab in self.labs],
            "seats": [row.as_dict() for row in self.rows],
        }


def ask(
    class_: Class, seats: Sequence[Seat], labs: Sequence[Lab], *, deadline_s: float = DEADLINE_S
) -> Status:
    """Ask all seats at once. deadline_s: seconds after which one counts as silent."""
    began = time.monotonic()
    kernel = artefact.find(class_.flavour)
    wanted = str(kernel.manifest["release"]) if kernel else ""
    graded = results.all_of(class_)
    reach.ahead(class_, seats)
    away.fetch(class_, seats)  # a hypervisor that is silent is told by its seats
    found = parallel.over(
        seats, lambda seat: health.of(reach.of(class_, seat), deadline_s), jobs=max(1, len(seats))
    )

    def row(seat: Seat) -> Row:
        reached, mine = reach.of(class_, seat), graded.get(seat.name, {})
        known, notes = _record(reached)
        words = {lab.id: word(known.get(lab.id), mine.get(lab.id)) for lab in labs}
        moments = [check.at for progress in known.values() for check in progress.checks]
        moments += [progress.started for progress in known.values()]
        closed = frozenset(record.closed(reached)) & words.keys()
        seen = found[seat.name]
        if isinstance(seen, KlabError):
            return Row(seat, words, closed, max(moments, default=0), None, seen.what, notes)
        notes += _notes(seen, wanted)
        return Row(seat, words, closed, max([*moments, seen.active]), seen, "", notes)

    rows = tuple(map(row, seats))
    return Status(class_, tuple(labs), rows, int(time.time()), round(time.monotonic() - began, 2), wanted)


def _record(seat: reach.Reached) -> tuple[dict[str, record.Progress], tuple[str, ...]]:
    """What is known of a seat's labs; a broken record is told, and hides no other seat."""
    try:
        return away.load(seat), ()
    except KlabError as error:
        return {}, (error.what,)


def _notes(seen: health.Health, wanted: str) -> tuple[str, ...]:
    """What a teacher should look at."""
    notes = {
        f"runs {seen.release}, not {wanted}": wanted and seen.release != wanted,
        f"its kernel complained: {', '.join(seen.splats or ())}": bool(seen.splats),
        "its kernel's log cannot be read": seen.splats is None,
        f"disk nearly full: {seen.free} MiB left": seen.free < LITTLE,
    }
    return tuple(note for note, holds in notes.items() if holds)


def word(progress: record.Progress | None, graded: results.Result | None) -> str:
    """The further of what the student did at the desk and what the grading found."""
    own = progress.word if progress else "new"
    if graded is None:
        return own
    return max(own, "passed" if graded.word == "pass" else "tried", key=WORDS.index)


def ago(then: int, now: int) -> str:
    """How long ago, in the unit that says it."""
    if not then:
        return "-"
    past = max(0, now - then)
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60)):
        if past >= seconds:
            return f"{past // seconds} {unit} ago"
    return f"{past} s ago"


def cell(row: Row, lab: str) -> str:
    """The word of a lab, marked when it is closed."""
    return f"({row.labs[lab]})" if lab in row.closed else row.labs[lab]


def text(status: Status) -> str:
    """The status as a table; more than WIDE labs are counted."""
    few = len(status.labs) <= WIDE
    heads = [lab.name for lab in status.labs] if few else ["labs"]
    rows = [("seat", "student", "up", "load", "disk MiB", "active", *heads, "")]
    for row in status.rows:
        seen = row.health
        up = ("yes", f"{seen.load:.2f}", str(seen.free)) if seen else ("NO", "-", "-")
        counted = Counter(row.labs.values())
        summed = ", ".join(f"{counted[w]} {w}" for w in reversed(WORDS) if counted[w])
        cells = [cell(row, lab.id) for lab in status.labs] if few else [summed]
        who = (row.seat.name, row.seat.student.name or row.seat.student.login)
        rows.append((*who, *up, ago(row.active, status.at), *cells, "; ".join(row.looks)))
    answer = sum(row.health is not None for row in status.rows)
    end = f"{answer} of {len(status.rows)} seats answered, in {status.wall_s:.1f} s"
    return f"{table(rows)}\n\n{end}; {time.strftime('%F %T', time.localtime(status.at))}"


def html(status: Status, every_s: int) -> str:
    """The status as a page that loads itself anew. every_s: seconds from one to the next."""
    at = time.strftime("%F %T", time.localtime(status.at))
    return page("status.html.j2").render(status=status, every=every_s, at=at, ago=ago, cell=cell)
