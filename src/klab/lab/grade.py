# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a lab's grader on a workspace and return the verdict.

What the grader sees comes back as it is seen, over a pipe that no program of the student's
holds. Three verdicts: pass, fail, cannot tell; what was not looked at is never a pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from klab.errors import KlabError
from klab.kernel import student
from klab.lab import grader
from klab.lab import workspace as workspaces
from klab.testing.observe import CANNOT_TELL, FAIL, PASS, Observation, show

if TYPE_CHECKING:
    from klab.catalogue import Lab

OUTCOME, REPEAT, ENVIRONMENT = "outcome", "repeat", "environment"
DETAIL = 12  # lines of what was observed
CODES = {PASS: 0, FAIL: 1, CANNOT_TELL: 2}
# Of a whole run. Each guest and build in it has a shorter deadline of its own; the longest is that
# of a kernel of the grader's, which the first check on a computer may have to build.
LIMIT_S = student.REFERENCE_S + 900.0
GENERIC = Path(__file__).resolve().parents[1] / "testing/generic"


@dataclass(frozen=True)
class Verdict:
    """What a grader says. word: pass, fail or cannot tell; splats: what the kernel complained of."""

    word: str
    observations: tuple[Observation, ...]
    seed: int
    wall_s: float
    splats: tuple[str, ...] = field(default=())

    @property
    def code(self) -> int:
        """The exit status: 0 pass, 1 fail, 2 cannot tell."""
        return CODES[self.word]

    @property
    def reason(self) -> str:
        """The first thing that did not pass, in one line; empty for a pass."""
        for word in (FAIL, CANNOT_TELL):
            for seen in self.observations:
                if seen.word == word:
                    return seen.what.splitlines()[0]
        return "" if self.word == PASS else "the grader made no observation"

    @property
    def test(self) -> str:
        """The test that failed first; empty when none did."""
        return next((seen.test for seen in self.observations if seen.word == FAIL), "")

    @property
    def detail(self) -> str:
        """What was observed there, as far as it fits a report; empty where nothing was noted."""
        failed = next((seen for seen in self.observations if seen.word == FAIL), None)
        return "\n".join(str(failed.observed).splitlines()[-DETAIL:]) if failed else ""

    def as_dict(self) -> dict[str, Any]:
        """The verdict as data."""
        return asdict(self)

    def summary(self) -> str:
        """The last line of the text form."""
        good = sum(seen.word == PASS for seen in self.observations)
        return (
            f"{self.word}: {good} of {len(self.observations)} observations passed,"
            f" in {self.wall_s:.1f} s (--seed {self.seed} repeats this check)"
        )


def judge(seen: Sequence[Observation]) -> str:
    """The verdict over observations: one that failed decides, none at all tells nothing."""
    words = {each.word for each in seen}
    if FAIL in words:
        return FAIL
    return PASS if words == {PASS} else CANNOT_TELL


def run(
    lab: Lab,
    workspace: Path,
    *,
    seed: int,
    machine: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
    part: str = OUTCOME,
    limit_s: float = LIMIT_S,
    stop: Event | None = None,
    first: bool = False,
    ahead: str = "",
    builds: Path | None = None,
) -> Verdict:
    """Grade the files in `workspace`; `tell` hears the text form as it comes.

    part: outcome, the grader and the silent run under `sanitize`; repeat, the grader alone,
    for other seeds, which that run does not know; environment, what lab.yml claims.
    limit_s: seconds until the run is ended. stop: ends it when it is set. first: the run ends
    with the first observation that fails, for whoever only asks whether one does. ahead: the name
    of a test that comes before the others, where that is likely to be the one. builds: a folder where
    what was built stays, for another run with the same files.
    Raises KlabError only when the grader cannot be started.
    """
    began = time.monotonic()
    seen: list[Observation] = []

    def hear(observation: Observation) -> None:
        seen.append(observation)
        tell(show(observation))

    try:
        workspaces.check(workspace)
    except KlabError as error:
        hear(Observation(FAIL, error.what, observed=error.what, expected=error.mend))
    else:
        if lab.where == "machine" and not machine:
            hear(Observation(CANNOT_TELL, "this lab is checked on a lab machine, and none was named"))
        else:
            flavours = lab.flavours if part == OUTCOME else (lab.kernel,)
            files = tuple(tests(lab, part))
            job = grader.Job(
                lab, workspace, seed, machine, files, flavours, first=first, builds=builds, ahead=ahead
            )
            if why := grader.run(job, limit_s, stop, hear):
                hear(Observation(CANNOT_TELL, why))
    verdict = Verdict(
        judge(seen),
        tuple(seen),
        seed,
        round(time.monotonic() - began, 2),
        tuple(each.splat for each in seen if each.splat),
    )
    tell(verdict.summary())
    return verdict


def tests(lab: Lab, part: str) -> list[Path]:
    """The files with the tests of a part."""
    if part == ENVIRONMENT:
        own = lab.folder / "test_environment.py"
        return [GENERIC / "test_environment.py", *([own] if own.is_file() else [])]
    silent = part == OUTCOME and lab.sanitize
    return [lab.grader, *([GENERIC / "test_sanitize.py"] if silent else [])]
