# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a class and its seats."""

from __future__ import annotations

from typing import Any

from klab.classroom import placement, reach
from klab.classroom.model import EXISTING, Class


def make(class_: Class) -> dict[str, dict[str, Any]]:
    """Make the keys of the class and its seats, and keep who sits where.

    Of each seat: `authorized`, the public keys that log in, and `host_key`, the file with its own, empty
    for a computer that has one.
    """
    placement.save(class_)
    teacher = reach.client_key(class_).with_suffix(".pub").read_text().strip()
    return {
        seat.name: {
            "authorized": [teacher, *seat.student.keys],
            "host_key": "" if seat.provider == EXISTING else str(reach.host_key(class_, seat)),
        }
        for seat in class_.seats
    }
