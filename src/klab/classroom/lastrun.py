# SPDX-License-Identifier: GPL-3.0-or-later
"""How the last run of a playbook went for each seat: kept by the class, and named for `--limit`.

seats/<seat>/state.json  {"at", "ok", "step", "what", "log", "mend"}: the last three of a failure
failed                   the seats whose last run failed, one a line: --limit @THIS
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from klab.classroom.reach import private, replace

STATE, FAILED = "state.json", "failed"


@dataclass(frozen=True)
class Outcome:
    """One seat's last run. at: epoch seconds. step: the task that failed, or empty."""

    at: int
    ok: bool
    step: str = ""
    what: str = ""
    log: str = ""
    mend: str = ""


def of_task(task: str, said: Mapping[str, Any], *, reached: bool = True) -> Outcome:
    """What a failed task says, by klab's own error where it has one."""
    error = said.get("error")
    error = error if isinstance(error, dict) else {}
    step = f"{task}: {error['step']}" if error.get("step") else task
    what = error.get("what") or said.get("msg") or said.get("stderr") or "no reason given"
    mend = error.get("mend") or ("" if reached else "see whether it is up; then the same with --limit")
    return Outcome(int(time.time()), False, step, str(what), str(error.get("log", "")), str(mend))


def load(folder: Path) -> Outcome | None:
    """The last run of the seat with that folder, or None."""
    try:
        return Outcome(**json.loads((folder / STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def keep(state: Path, found: Mapping[str, Outcome]) -> list[str]:
    """Keep how a run went for its seats; all that have failed so far, those of earlier runs too."""
    private(state)
    for name, outcome in found.items():
        folder = state / "seats" / name
        if outcome.ok and not folder.exists():  # it was closed, and is forgotten
            continue
        replace(private(folder) / STATE, json.dumps(asdict(outcome), indent=2) + "\n")
    path = state / FAILED
    before = path.read_text().split() if path.exists() else []
    good = {name for name, outcome in found.items() if outcome.ok}
    failed = sorted({*before, *(set(found) - good)} - good)
    replace(path, "".join(f"{name}\n" for name in failed))
    return failed


def drop(state: Path, names: Iterable[str]) -> None:
    """Seats that are no more have nothing to be done again."""
    path = state / FAILED
    if path.exists():
        replace(path, "".join(f"{name}\n" for name in path.read_text().split() if name not in set(names)))


def told(state: Path, found: Mapping[str, Outcome], failed: Iterable[str]) -> list[str]:
    """Lines for people: what failed in this run, and how to go on."""
    lines = []
    for name in sorted(name for name, outcome in found.items() if not outcome.ok):
        one = found[name]
        lines.append(f"{name}: {one.what.splitlines()[0]}")
        lines += [
            f"    {label}: {text}"
            for label, text in (("step", one.step), ("log", one.log), ("do", one.mend))
            if text
        ]
    count = len(list(failed))
    if count:
        # No ~: a shell does not read it behind an @.
        lines.append(f"{count} seats to do again: --limit @{shlex.quote(str(state / FAILED))}")
    return lines
