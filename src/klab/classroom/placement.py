# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hypervisor holds which seat: balanced by load, and the same from run to run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from klab.classroom.model import EXISTING, Class
from klab.errors import KlabError

FILE = "placement.json"
NOTHING = 1e-9  # what a hypervisor that carries no seat counts as: it comes last


@dataclass(frozen=True)
class Placement:
    """Seats by hypervisor.

    at: of each virtual seat. left: of seats that are no longer asked for, but were made
    ("" for an existing machine). moved: where a seat was that could not stay there.
    """

    at: dict[str, str]
    left: dict[str, str]
    moved: dict[str, str]


def place(
    names: Iterable[str],
    carries: Mapping[str, float],
    before: Mapping[str, str],
    made: Iterable[str] = (),
    elsewhere: Iterable[str] = (),
) -> Placement:
    """Give each seat of `names` a hypervisor of `carries`, which says how many seats each can hold.

    before: the last placement, which holds as far as its hypervisors are there. made: seats
    of which there is a record; elsewhere: seats that need no hypervisor. The same input gives
    the same placement, whatever its order.
    """
    wanted, other = sorted(names), set(elsewhere)
    at = {name: before[name] for name in wanted if before.get(name) in carries}
    left = {name: before.get(name, "") for name in sorted(made) if name not in other | set(wanted)}
    moved = {name: before[name] for name in [*wanted, *sorted(other)] if name in before and name not in at}
    counts = Counter([*at.values(), *left.values()])
    for name in wanted:
        if name not in at and carries:
            best = min(carries, key=lambda one: ((counts[one] + 1) / max(carries[one], NOTHING), one))
            at[name] = best
            counts[best] += 1
    return Placement(at, left, moved)


def made(state: Path) -> set[str]:
    """The seats of which a class has a record."""
    return {path.name for path in (state / "seats").glob("*") if path.is_dir()}


def load(state: Path) -> dict[str, str]:
    """The placement that the last opening of a class kept. Raises KlabError when it cannot be read."""
    path = state / FILE
    try:
        kept = json.loads(path.read_text())
        if not isinstance(kept, dict) or not all(isinstance(one, str) for one in kept.values()):
            raise ValueError("it is no mapping of seats to hypervisors")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KlabError(
            f"the placement of the seats cannot be read: {error}",
            step="class: read the placement",
            log=path,
            mend=f"restore {path}: without it seats may be looked for on the wrong hypervisor",
        ) from None
    return kept


def save(class_: Class) -> None:
    """Keep the placement for the next run; a reader sees the old or the new one, never half."""
    class_.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = {seat.name: seat.hypervisor for seat in class_.seats if seat.provider != EXISTING}
    kept |= {name: hypervisor for name, hypervisor in class_.left if hypervisor}
    draft = class_.state / f"{FILE}.new"
    draft.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    draft.replace(class_.state / FILE)
