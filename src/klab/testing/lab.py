# SPDX-License-Identifier: GPL-3.0-or-later
"""Graders: pytest files with the fixtures `lab`, `guest`, `debuggee`, `seat` (and `machine`).

`klab.lab.grade` runs them; by hand:

    pytest labs/M/L/test_outcome.py --klab-lab M/L --klab-workspace FOLDER --klab-seed 1 --klab-machine lab1
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from klab.errors import KlabError
from klab.testing.observe import CANNOT_TELL, END, FAIL, PASS, RECORDER

if TYPE_CHECKING:
    from klab.catalogue import Lab
    from klab.desk.record import Progress
    from klab.testing.debuggees import Debuggees
    from klab.testing.guests import Guests
    from klab.testing.workbench import Workbench

SILENT = "the grader looked at nothing"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a grader's run."""
    group = parser.getgroup("klab", "klab: lab machines")
    group.addoption("--klab-lab", default="", metavar="ID", help="The lab that is graded.")
    group.addoption("--klab-workspace", default="", metavar="FOLDER", help="A copy of the student's files.")
    group.addoption("--klab-seed", type=int, default=0, metavar="N", help="What the grader varies by.")
    group.addoption("--klab-first", action="store_true", help="End with the first observation that fails.")
    group.addoption("--klab-ahead", default="", metavar="TEST", help="This test comes first.")
    group.addoption("--klab-builds", default="", metavar="FOLDER", help="Keep builds there, and reuse them.")
    group.addoption(
        "--klab-observations",
        type=int,
        default=-1,
        metavar="FD",
        help="Write each observation there as a JSON line.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Grade, when a lab is named."""
    config.addinivalue_line("markers", "flavour(name): needs this flavour beside the lab's own")
    if config.getoption("klab_lab"):
        grading = _Grading(config.getoption("klab_observations"), config.getoption("klab_first"))
        config.pluginmanager.register(grading, "klab-grading")


def _stop(*_: Any) -> NoReturn:
    # As Ctrl-C: fixtures and `finally` blocks run, so that no guest is left behind.
    raise KeyboardInterrupt


def _flavour(item: pytest.Item) -> str:
    """The flavour beside the lab's own that a test is about, or nothing."""
    marker = item.get_closest_marker("flavour")
    return str(marker.args[0]) if marker else ""


def _name(item: pytest.Item | str) -> str:
    """A test's name, as observations have it."""
    return (item if isinstance(item, str) else item.nodeid).rpartition("::")[2]


class _Grading:
    """Turns what happens to tests into observations."""

    def __init__(self, number: int, first: bool) -> None:
        self.first = RECORDER.brief = first
        signal.signal(signal.SIGTERM, _stop)
        self.stream = os.fdopen(number, "w", buffering=1) if number >= 0 else None
        if self.stream:
            RECORDER.hear = lambda seen: print(seen.line(), file=self.stream)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Tell that nothing was cut short."""
        if self.stream and exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            print(END, file=self.stream)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out tests of flavours that this run is not about; the others in the order asked for."""
        named = config.getoption("klab_flavour")
        other = [item for item in items if named and _flavour(item) not in {"", *named}]
        ahead = config.getoption("klab_ahead")
        items[:] = sorted(
            (item for item in items if item not in other), key=lambda item: _name(item) != ahead
        )
        config.hook.pytest_deselected(items=other)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Observations belong to the test under way."""
        RECORDER.test = _name(nodeid)

    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """What ended a test; what cannot be told ends no more than that."""
        self._note(call)
        if self.first and any(seen.word == FAIL for seen in RECORDER.seen):
            node.session.shouldfail = "an observation failed"

    def _note(self, call: pytest.CallInfo[Any]) -> None:
        """Observe what ended a test, unless that was done."""
        error = call.excinfo.value if call.excinfo else None
        mine = RECORDER.of(RECORDER.test)
        if mine and mine[-1].word != PASS:
            return
        if isinstance(error, KlabError):
            RECORDER.note(CANNOT_TELL, str(error))
        elif isinstance(error, pytest.fail.Exception) and call.when == "setup":
            # A fixture of several tests failed for the first of them, and was told there.
            RECORDER.note(CANNOT_TELL, f"{RECORDER.test}: what it stands on was not there, see above")
        elif isinstance(error, AssertionError | pytest.fail.Exception):
            RECORDER.note(FAIL, f"{RECORDER.test}: {error}")
        elif call.excinfo:
            place = call.excinfo.traceback[-1]
            where = f"{Path(place.path).name}:{place.lineno + 1}"
            RECORDER.note(
                CANNOT_TELL, f"the grader itself broke: {type(error).__name__}: {error}", look=where
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A skipped test, and one that looked at nothing, tell nothing."""
        if report.skipped:
            known = getattr(report, "wasxfail", "")
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else known
            RECORDER.note(CANNOT_TELL, f"{RECORDER.test} was skipped: {why}")
        elif report.when == "call" and report.passed and not RECORDER.of(RECORDER.test):
            RECORDER.note(CANNOT_TELL, f"{RECORDER.test}: {SILENT}")


@cache
def chosen(config: pytest.Config) -> Lab:
    """The lab of this run."""
    from klab import catalogue

    if name := config.getoption("klab_lab"):
        return catalogue.load().labs[str(name)]
    raise pytest.UsageError("graders want --klab-lab ID and --klab-workspace FOLDER")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Workbench]:
    """The lab, the student's files and the seed; it builds them in the sandbox."""
    from klab.lab import workspace
    from klab.testing.workbench import Workbench

    option = request.config.getoption
    spec = chosen(request.config)
    folder = Path(option("klab_workspace")).resolve()
    workspace.check(folder)
    seed = option("klab_seed")
    kept = Path(option("klab_builds")) if option("klab_builds") else None
    with TemporaryDirectory(prefix="klab-grade-") as builds:
        yield Workbench(spec, seed, random.Random(seed), folder, Path(builds), kept)  # noqa: S311 - nothing secret


@pytest.fixture(scope="session")
def guest(lab: Workbench) -> Guests:
    """Runs a script on a kernel in a throw-away guest; its console goes through the splat gate."""
    from klab.testing.guests import Guests

    return Guests(lab.spec)


@pytest.fixture(scope="session")
def debuggee(lab: Workbench) -> Iterator[Debuggees]:
    """Puts up a kernel to be debugged, for one session with gdb, or for a crash that leaves a dump."""
    from klab.testing import debuggees

    with debuggees.serve(lab.spec) as made:
        yield made


@pytest.fixture(scope="session")
def seat(request: pytest.FixtureRequest, lab: Workbench) -> Progress:
    """What the machine's seat knows of this lab: when it was started, hints taken, checks."""
    from klab.classroom import reach
    from klab.desk import record

    names = request.config.getoption("klab_machine")
    known = record.load(reach.named(names[0])) if names else {}
    return known.get(lab.spec.id, record.Progress())


@pytest.fixture(autouse=True)
def _machine_console(request: pytest.FixtureRequest) -> Iterator[None]:
    """The splat gate over the machine's console, for the time of each test."""
    grading = request.config.getoption("klab_lab") and "machine" in request.fixturenames
    if not grading:
        yield
        return
    from klab.testing import guests

    path = request.getfixturevalue("machine").record.console
    spec = request.getfixturevalue("lab").spec
    before = path.stat().st_size
    yield
    named = guests.decoder(request.getfixturevalue("lab").kernel(), {})
    guests.gate(spec, guests.since(path, before), look=path, named=named)
