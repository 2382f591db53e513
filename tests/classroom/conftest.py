# SPDX-License-Identifier: GPL-3.0-or-later
"""A class of three light seats, and klab in a state of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from classroom import light
from klab.classroom import reach
from klab.classroom.model import Class

COUNT = 3


@dataclass(frozen=True)
class Room:
    """Seats, and the class as klab knows it."""

    seats: list[light.Light]
    course: Class

    def reached(self, number: int) -> reach.Reached:
        """A seat, counted from 1."""
        return reach.of(self.course, self.course.seats[number - 1])


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """Three seats that answer, and what reaches them."""
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    empty = light.course([])
    with light.world(COUNT, reach.client_key(empty).with_suffix(".pub")) as seats:
        course = light.course(seats)
        for seat in course.seats:
            reach.write(course, seat)
        yield Room(seats, course)
