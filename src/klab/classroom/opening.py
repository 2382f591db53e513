# SPDX-License-Identifier: GPL-3.0-or-later
"""What a class's opening does once its machines are there, and what its closing forgets."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping

from klab import catalogue
from klab.classroom import claim, lastrun, parallel, reach
from klab.classroom.model import ACCOUNT, Class, Seat
from klab.desk import record, verbs
from klab.errors import KlabError
from klab.machine import model


def labs(class_: Class, seat: Seat, course: catalogue.Course) -> list[catalogue.Lab]:
    """The labs of a seat: the class's, and those of the student's path."""
    path = [f"path:{seat.student.path}"] if seat.student.path else []
    return catalogue.select(course, [*class_.labs, *path])


def join(class_: Class, places: Mapping[str, tuple[str, int]]) -> dict[str, bool | KlabError]:
    """Note where seats are, and start the labs that they lack; whether that changed one, or why it failed.

    places: the address and port of each seat's ssh, as its hypervisor sees it.
    """
    course = catalogue.load()

    def one(seat: Seat) -> bool:
        address, port = places[seat.name]
        # Whoever klab came as to an existing computer: the labs are the student's.
        reached, changed = reach.write(class_, seat, address=address, port=port, user=ACCOUNT)
        away = record.closed(reached)
        wanted = [lab for lab in labs(class_, seat, course) if lab.id not in away]
        started = [verbs.start(reached, lab) for lab in wanted]
        return changed or any(started)

    seats = [seat for seat in class_.seats if seat.name in places]
    reach.ahead(class_, seats)
    return parallel.over(seats, one)


def forget(class_: Class, seats: Iterable[Seat]) -> None:
    """Remove what is kept of seats, and let others at the class.

    Raises KlabError, before anything is removed, while a machine of theirs is there.
    """
    seats = list(seats)
    if there := [seat.name for seat in seats if model.find(seat.name)]:
        raise KlabError(
            f"{', '.join(there)}: still there",
            step="class: forget",
            mend="playbooks/classroom_close.yml archives their work and removes them",
        )
    for seat in seats:
        shutil.rmtree(class_.seat_dir(seat.name), ignore_errors=True)
    lastrun.drop(class_.state, [seat.name for seat in seats])
    claim.release(class_)
