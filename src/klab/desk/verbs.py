# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with a lab on a machine. Each tells whether it changed anything.

    start   its files lie in ~/labs/<lab>
    check   fetched, graded here, noted
    hint    the next one
    reset   its files as they were at the start; what was there is kept aside, and what its
            programs left in the kernel is taken away
    renew   all but the student's own files is as the lab has it today; the rest is kept aside
    solve   the reference solution lies there: for teachers and proofs
    collect a copy of the student's files lies on this computer

A lab may add tasks of its own (tasks/start.yml…). own=False leaves them out: role lab runs
them itself.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from klab import catalogue, lock
from klab.desk import place, record, sweep, tasks
from klab.errors import KlabError
from klab.lab import grade, workspace
from klab.machine.model import Reachable
from klab.paths import brought, state_dir

SEEDS = 1 << 31


def start(machine: Reachable, lab: catalogue.Lab, *, own: bool = True) -> bool:
    """Lay the lab's starter on the machine, unless the lab is there."""
    with tempfile.TemporaryDirectory(prefix="klab-lab-") as folder:
        workspace.stage(lab, Path(folder))
        changed = place.put(machine, lab.id, Path(folder))
    with record.changing(machine, lab.id) as progress:
        progress.started = progress.started or int(time.time())
    _own(machine, lab, "start", own)
    return changed


def reset(machine: Reachable, lab: catalogue.Lab, *, own: bool = True) -> bool:
    """The starter again, and the count of hints at none. Always changes something."""
    _lay(machine, lab, None)
    sweep.sweep(machine, lab)
    with record.changing(machine, lab.id) as progress:
        progress.started, progress.hints = int(time.time()), 0
    _own(machine, lab, "reset", own)
    return True


def renew(machine: Reachable, lab: catalogue.Lab, *, check: bool = False) -> list[str]:
    """Bring a lab that was started to what it is today; the files that differed. check: change nothing.

    The student's own files stay (`workspace` of lab.yml), and so does what the lab no longer has.
    """
    with tempfile.TemporaryDirectory(prefix="klab-lab-") as name:
        there, today = Path(name, "there"), Path(name, "today")
        for folder in (there, today):
            folder.mkdir()
        if not place.get(machine, lab.id, there):
            return []
        workspace.stage(lab, today)
        files = [path for path in today.rglob("*") if path.is_file()]
        names = sorted(path.relative_to(today).as_posix() for path in files)
        changed = [
            name for name in names if name not in lab.workspace and not _same(there / name, today / name)
        ]
        if changed and not check:
            place.renew(machine, lab.id, today, changed, _aside(lab))
    return changed


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and one.read_bytes() == other.read_bytes()


def _aside(lab: catalogue.Lab) -> str:
    return f"{lab.id}-{time.strftime('%Y%m%d-%H%M%S')}"


def solve(machine: Reachable, lab: catalogue.Lab, *, own: bool = True) -> bool:
    """The reference solution, by patch or by the lab's own tasks; the student's files are kept aside."""
    _lay(machine, lab, lab.solution if lab.solution.is_file() else None)
    _own(machine, lab, "solve", own)
    return True


def _own(machine: Reachable, lab: catalogue.Lab, verb: str, wanted: bool) -> None:
    if wanted and lab.task(verb):
        tasks.run(machine, lab, verb)


def _lay(machine: Reachable, lab: catalogue.Lab, patch: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="klab-lab-") as folder:
        workspace.stage(lab, Path(folder), patch)
        place.put_back(machine, lab.id, Path(folder), _aside(lab))


def check(
    machine: Reachable, lab: catalogue.Lab, *, seed: int | None, tell: Callable[[str], None]
) -> grade.Verdict:
    """Grade what lies on the machine, and note the verdict. `tell` hears the text as it comes.

    One check at a time for each machine: another raises KlabError.
    """
    if brought():
        raise KlabError(
            "the computer that holds this machine has no graders",
            step="lab: check",
            machine=machine.name,
            mend="go on: your teacher's computer checks your files (klab class grade)",
        )
    with (
        lock.held(machine.file("check.lock"), f"a check on {machine.name}"),
        tempfile.TemporaryDirectory(prefix="klab-check-") as name,
    ):
        folder = Path(name)
        if not place.get(machine, lab.id, folder):
            raise _not_started(machine, lab)
        chosen = random.randrange(SEEDS) if seed is None else seed  # noqa: S311 - nothing secret
        verdict = grade.run(lab, folder, seed=chosen, machine=machine.name, tell=tell)
    record.checked(machine, lab.id, verdict.word, verdict.seed)
    return verdict


def hint(machine: Reachable, lab: catalogue.Lab) -> tuple[int, str]:
    """The next hint, counted from 1; the last one again when there is no more."""
    with record.changing(machine, lab.id) as progress:
        progress.hints = min(progress.hints + 1, len(lab.hints))
        return progress.hints, lab.hints[progress.hints - 1]


def collect(machine: Reachable, lab: catalogue.Lab, to: Path | None = None) -> Path | None:
    """Copy the student's files to this computer; where, or None when the lab is not started."""
    folder = (to or state_dir() / "collected") / machine.name / lab.id
    draft = folder.with_name(f".{folder.name}.new")
    draft.mkdir(parents=True, exist_ok=True)
    if not place.get(machine, lab.id, draft):
        draft.rmdir()
        return None
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}-{time.strftime('%Y%m%d-%H%M%S')}"))
    return draft.rename(folder)


def _not_started(machine: Reachable, lab: catalogue.Lab) -> KlabError:
    return KlabError(
        f"the lab {lab.id} is not on {machine.name}",
        step="lab: check",
        machine=machine.name,
        mend=f"klab start {lab.name}",
    )
