# SPDX-License-Identifier: GPL-3.0-or-later
"""One seat as it was when it was made, with the student's labs in it again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from klab import catalogue
from klab.classroom import grade, hypervisors, reach
from klab.classroom.model import Class, Seat
from klab.desk import place
from klab.errors import KlabError
from klab.machine import lifecycle, model

STEP = "class: restore"
BRIEFLY_S = 30.0  # for all but the wait for its ssh
KEPT = "restored"  # in the class's folder: what was on a seat before, by seat and time


def run(class_: Class, seat: Seat, *, discard: bool, deadline_s: float) -> tuple[list[str], Path]:
    """Put the seat's machine back to its template's ready point; the labs it has again, and what was kept.

    discard: although the seat does not give its labs, which are lost then but for what was
    fetched before. Raises KlabError, before anything changes, for a seat that is no machine of a
    hypervisor's, and for one that gives no labs.
    """
    other = hypervisors.there(class_.hypervisor(seat.hypervisor)) if seat.hypervisor else None
    if not (other or model.find(seat.name)):
        raise KlabError(
            f"{seat.name} is no machine that klab has made",
            step=STEP,
            machine=seat.name,
            mend="playbooks/classroom_open.yml makes those of hypervisors; others are put back by hand",
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
    reach.hang_up(reached)
    if other:
        other.klab(
            ["vm", "reset", "--name", seat.name, "--timeout", str(deadline_s)],
            deadline_s=deadline_s + BRIEFLY_S,
        )
    else:
        with model.locked(seat.name):
            lifecycle.reset(model.get(seat.name), deadline_s)
    for lab_id in there:
        place.put(reached, lab_id, kept / lab_id)
    return there, kept
