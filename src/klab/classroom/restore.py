# SPDX-License-Identifier: GPL-3.0-or-later
"""One seat as it was when it was made, with the student's labs in it again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from klab import catalogue
from klab.classroom import grade, reach
from klab.classroom.model import Class, Seat
from klab.desk import place
from klab.errors import KlabError
from klab.machine import lifecycle, model

STEP = "class: restore"
KEPT = "restored"  # in the class's folder: what was on a seat before, by seat and time


def run(class_: Class, seat: Seat, *, discard: bool, deadline_s: float) -> tuple[list[str], Path]:
    """Put the seat's machine back to its template's ready point; the labs it has again, and what was kept.

    discard: although the seat does not give its labs, which are lost then but for what was
    fetched before. Raises KlabError, before anything changes, for a seat that no hypervisor of
    this computer holds, and for one that gives no labs.
    """
    if not model.find(seat.name):
        raise KlabError(
            f"{seat.name} is no machine of this computer",
            step=STEP,
            machine=seat.name,
            mend=f"where it is: klab vm reset --name {seat.name}; then playbooks/classroom_open.yml",
        )
    reached = reach.of(class_, seat)
    kept = class_.state / KEPT / seat.name / time.strftime("%Y%m%d-%H%M%S")
    draft = reach.private(kept.parent) / f".{kept.name}.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    there: list[str] = []
    try:
        for lab in grade.there(reached, list(catalogue.load().labs.values())):
            (draft / lab.id).mkdir(parents=True)
            place.get(reached, lab.id, draft / lab.id)
            there.append(lab.id)
    except KlabError as error:
        if not discard:
            error.mend = (
                "--discard puts it back all the same; what was fetched before stays in the class's folder"
            )
            raise
    draft.rename(kept)
    with model.locked(seat.name):
        lifecycle.reset(model.get(seat.name), deadline_s)
    for lab_id in there:
        place.put(reached, lab_id, kept / lab_id)
    return there, kept
