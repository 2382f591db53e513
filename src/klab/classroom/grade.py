# SPDX-License-Identifier: GPL-3.0-or-later
"""Grade a class: fetch what all seats hold, then run the graders, each student by seeds of their own.

What was graded before and has not changed is not graded again. A seat that does not answer stops
nobody; what was fetched from it earlier keeps its grade.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from klab import lock
from klab.catalogue import Lab
from klab.classroom import ask, parallel, reach, results, seeds
from klab.classroom.model import Class, Seat
from klab.desk import place, verbs
from klab.errors import KlabError
from klab.lab import grade, workspace

DEADLINE_S = 30.0
# The labs that are there, by module and name.
LISTING = 'cd "$HOME/labs" 2>/dev/null || exit 0; for d in */*/; do [ ! -d "$d" ] || echo "${d%/}"; done'


@dataclass
class Graded:
    """How a run went. fresh, kept: (seat, lab) graded now, or that stand as they were; missing: labs
    that are not on the seat; failed: errors by seat, or by seat and lab."""

    fresh: dict[tuple[str, str], results.Result] = field(default_factory=dict)
    kept: dict[tuple[str, str], results.Result] = field(default_factory=dict)
    missing: list[tuple[str, str]] = field(default_factory=list)
    failed: dict[str, KlabError] = field(default_factory=dict)


@dataclass(frozen=True)
class _Task:
    """A student's work in one lab, fetched, that is to be graded."""

    seat: Seat
    lab: Lab
    seed: int
    depends: results.Key

    @property
    def name(self) -> str:
        return f"{self.seat.name} {self.lab.id}"


def run(
    class_: Class,
    seats: Sequence[Seat],
    labs: Sequence[Lab],
    *,
    jobs: int = 0,
    fresh: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Graded:
    """Grade these labs on these seats. jobs: graders at once, 0: one for each processor.

    fresh: also what would give the same again. Results are kept one by one, so that a run that is
    cut off goes on where it was.
    """
    with lock.held(class_.state / "grade.lock", f"the grading of class {class_.name}"):
        done, tasks = Graded(), list[_Task]()
        known, secret = results.kernels(labs), seeds.secret(class_)
        for name, found in fetch(class_, seats, labs).items():
            if isinstance(found, KlabError):
                done.failed[name] = found
                tell(f"{name}: {found.what}")
                continue
            seat = class_.seat(name)
            for lab in labs:
                if lab.id not in found:
                    done.missing.append((name, lab.id))
                    continue
                if error := found[lab.id]:
                    done.failed[f"{name} {lab.id}"] = error
                    tell(f"{name} {lab.id}: {error.what}")
                    continue
                seed = seeds.of(secret, seat.student.login, lab.id)
                depends = results.key(results.work_dir(class_, name, lab.id), lab, known)
                before = results.load(class_, name, lab.id)
                if before and not fresh and before.stands_for(depends, seed):
                    done.kept[name, lab.id] = before
                else:
                    tasks.append(_Task(seat, lab, seed, depends))
        _grade(class_, tasks, jobs or os.cpu_count() or 1, done, tell)
    return done


def _grade(class_: Class, tasks: list[_Task], jobs: int, done: Graded, tell: Callable[[str], None]) -> None:
    stop = threading.Event()

    def one(task: _Task) -> results.Result:
        work = results.work_dir(class_, task.seat.name, task.lab.id)
        seat = reach.of(class_, task.seat)
        with ExitStack() as held, tempfile.TemporaryDirectory(prefix="klab-grade-") as name:
            if task.lab.where == "machine":
                what = f"a check on {seat.name}"
                held.enter_context(lock.held(seat.file("check.lock"), what, wait=True))
            # What was fetched is evidence: no grader writes into it.
            copy = workspace.copy(work, Path(name) / "work")
            verdict = grade.run(task.lab, copy, seed=task.seed, machine=seat.name, stop=stop)
        if stop.is_set():
            raise KlabError("it was stopped", step="class: grade")
        return results.save(class_, seat.name, task.lab, task.depends, verdict)

    def hear(name: str, found: results.Result | KlabError) -> None:
        seat, _, lab = name.partition(" ")
        if isinstance(found, KlabError):
            done.failed[name] = found
            tell(f"{name}: {found.what}")
        else:
            done.fresh[seat, lab] = found
            tell(f"{name}: {found.word} ({len(done.fresh)} of {len(tasks)})")

    parallel.over(tasks, one, jobs=jobs, stop=stop, tell=hear)


def fetch(
    class_: Class, seats: Sequence[Seat], labs: Sequence[Lab]
) -> dict[str, dict[str, KlabError | None] | KlabError]:
    """Copy what the seats hold of these labs into the class's folder.

    By seat the labs that are there, each with the error that kept it from being copied, or None.
    """

    def one(seat: Seat) -> dict[str, KlabError | None]:
        reached = reach.of(class_, seat)
        return {lab.id: error for lab in there(reached, labs) for error in _fetch(class_, reached, lab)}

    reach.ahead(class_, seats)
    return parallel.over(seats, one)


def there(seat: reach.Reached, labs: Sequence[Lab]) -> list[Lab]:
    """Those of the labs that the seat has."""
    there = set(ask.run(seat, LISTING, deadline_s=DEADLINE_S).splitlines())
    return [lab for lab in labs if lab.id in there]


def _fetch(class_: Class, seat: reach.Reached, lab: Lab) -> Iterator[KlabError | None]:
    """Copy one lab's files, all or none; yields how that went, and nothing when there are none."""
    work = results.work_dir(class_, seat.name, lab.id)
    reach.private(work.parent)
    draft, old = Path(f"{work}.new"), Path(f"{work}.old")
    for left in (draft, old):
        shutil.rmtree(left, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        if not place.get(seat, lab.id, draft):
            draft.rmdir()
            return
    except KlabError as error:
        yield error
        return
    if work.exists():
        work.rename(old)
    draft.rename(work)
    shutil.rmtree(old, ignore_errors=True)
    yield None


def collect(class_: Class, seat: Seat, labs: Sequence[Lab], to: Path) -> dict[str, str]:
    """Copy a seat's files of these labs to `to`/<seat>/<lab>; the folders by lab."""
    reached = reach.of(class_, seat)
    folders = {lab.id: verbs.collect(reached, lab, to) for lab in there(reached, labs)}
    return {lab: str(folder) for lab, folder in folders.items() if folder}
