# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a lab's grader on a workspace and return the verdict.

The grader is pytest in a process of its own, under a deadline. What it sees comes back as
it is seen, over a pipe that no program of the student's holds. Three verdicts: pass, fail,
cannot tell; what was not looked at is never a pass.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import IO, TYPE_CHECKING, Any

from klab.errors import KlabError
from klab.kernel import student
from klab.lab import workspace as workspaces
from klab.testing.observe import CANNOT_TELL, END, FAIL, PASS, Observation, show

if TYPE_CHECKING:
    from klab.catalogue import Lab

OUTCOME, REPEAT, ENVIRONMENT = "outcome", "repeat", "environment"
CODES = {PASS: 0, FAIL: 1, CANNOT_TELL: 2}
# Of a whole run. Each guest and build in it has a shorter deadline of its own; the longest is that
# of a kernel of the grader's, which the first check on a computer may have to build.
LIMIT_S = student.REFERENCE_S + 900.0
PATIENCE_S = 10.0  # for a grader that is told to stop to end its guests
GENERIC = Path(__file__).resolve().parents[1] / "testing/generic"
# Parts of pytest that a grader has no use for; each costs start-up time.
LESS = ("cacheprovider", "doctest", "unittest", "nose", "stepwise", "pastebin", "junitxml", "legacypath")


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
    builds: Path | None = None,
) -> Verdict:
    """Grade the files in `workspace`; `tell` hears the text form as it comes.

    part: outcome, the grader and the silent run under `sanitize`; repeat, the grader alone,
    for other seeds, which that run does not know; environment, what lab.yml claims.
    limit_s: seconds until the run is ended. stop: ends it when it is set. first: the run ends
    with the first observation that fails, for whoever only asks whether one does. builds: a folder
    where what was built stays, for another run with the same files.
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
        elif why := _graded(_Job(lab, workspace, seed, machine, part, first, builds), limit_s, stop, hear):
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


@dataclass(frozen=True)
class _Job:
    """One run of pytest."""

    lab: Lab
    workspace: Path
    seed: int
    machine: str | None
    part: str
    first: bool
    builds: Path | None

    def argv(self, stream: int) -> list[str]:
        """pytest's words; observations go to the file descriptor `stream`."""
        argv = [sys.executable, "-P", "-m", "pytest", "-c", os.devnull, f"--rootdir={self.lab.folder}"]
        argv += ["--noconftest", "--import-mode=importlib", "--tb=short", "-p", "klab.testing.plugin"]
        argv += [word for name in LESS for word in ("-p", f"no:{name}")]
        argv += ["--klab-first"] if self.first else []
        argv += [f"--klab-lab={self.lab.id}", f"--klab-workspace={self.workspace.resolve()}"]
        argv += [f"--klab-seed={self.seed}", f"--klab-observations={stream}"]
        argv += [f"--klab-machine={self.machine}"] if self.machine else []
        argv += [f"--klab-builds={self.builds.resolve()}"] if self.builds else []
        also = self.lab.sanitize if self.part == OUTCOME else ()
        argv += [f"--klab-flavour={name}" for name in (self.lab.kernel, *also)]
        return [*argv, *map(str, tests(self.lab, self.part))]


def _graded(job: _Job, limit_s: float, stop: Event | None, hear: Callable[[Observation], None]) -> str:
    """Run the tests; returns why nothing can be told although they ran, or nothing."""
    # No other plugin, no options from outside, and nothing written beside the grader.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    reading, writing = os.pipe()
    with tempfile.TemporaryFile(mode="w+", errors="replace") as log, os.fdopen(reading, "rb") as stream:
        try:
            process = subprocess.Popen(
                job.argv(writing),
                cwd=job.lab.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(writing,),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            last = _listen(stream, time.monotonic() + limit_s, stop, hear)
            if last is None:
                stopped = stop is not None and stop.is_set()
                return "it was stopped" if stopped else f"the check did not end within {limit_s:g} s"
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
        finally:
            _end(process)
        if last == END:
            return ""
        code = process.returncode
        log.seek(0)
        said = "\n".join(log.read().strip().splitlines()[-15:])
        return f"the grader of {job.lab.id} cannot be run (pytest ended with {code}):\n{said}"


def _listen(
    stream: IO[bytes], until: float, stop: Event | None, hear: Callable[[Observation], None]
) -> str | None:
    """Hand on what comes until the grader ends; its last line, None when it had to be given up."""
    rest, last = b"", ""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while time.monotonic() < until and not (stop and stop.is_set()):
            if not selector.select(timeout=0.2):
                continue
            chunk = os.read(stream.fileno(), 1 << 16)
            if not chunk:
                return last
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                last = line.decode()
                if last != END:
                    hear(Observation.from_line(last))
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """See the grader gone: told first, so that it ends its guests, by force later."""
    for sign, patience in ((signal.SIGTERM, PATIENCE_S), (signal.SIGKILL, PATIENCE_S)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, sign)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
