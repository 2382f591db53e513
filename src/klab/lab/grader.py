# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of a grader: pytest, forked from a server that has everything imported already.

A third of what a small check costs is the start of Python and pytest; a contract runs hundreds
of them. The server is multiprocessing's, lives as long as this process, and runs nothing itself.
"""

from __future__ import annotations

import multiprocessing
import os
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from klab.testing.observe import END, Observation

if TYPE_CHECKING:
    from klab.catalogue import Lab

PATIENCE_S = 10.0  # for a grader that is told to stop to end its guests
# Parts of pytest that a grader has no use for; each costs start-up time.
LESS = ("cacheprovider", "doctest", "unittest", "nose", "stepwise", "pastebin", "junitxml", "legacypath")
# What graders import. Not the plugins themselves: pytest wants to be the first that does.
AHEAD = ["pytest", "klab.desk.record", "klab.testing.guests", "klab.testing.workbench"]
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(AHEAD)


@dataclass(frozen=True)
class Job:
    """One run of pytest: `files` hold the tests, `flavours` are the kernels that they are about.

    ahead: the test that comes first, if there is one of that name.
    """

    lab: Lab
    workspace: Path
    seed: int
    machine: str | None
    files: tuple[Path, ...]
    flavours: tuple[str, ...]
    first: bool
    builds: Path | None
    ahead: str = ""

    def words(self) -> list[str]:
        """pytest's words."""
        words = ["-c", os.devnull, f"--rootdir={self.lab.folder}"]
        words += ["--noconftest", "--import-mode=importlib", "--tb=short", "-p", "klab.testing.plugin"]
        words += [word for name in LESS for word in ("-p", f"no:{name}")]
        words += ["--klab-first"] if self.first else []
        words += [f"--klab-lab={self.lab.id}", f"--klab-workspace={self.workspace.resolve()}"]
        words += [f"--klab-seed={self.seed}", f"--klab-ahead={self.ahead}"]
        words += [f"--klab-machine={self.machine}"] if self.machine else []
        words += [f"--klab-builds={self.builds.resolve()}"] if self.builds else []
        words += [f"--klab-flavour={name}" for name in self.flavours]
        return [*words, *map(str, self.files)]


def _begin(words: list[str], folder: Path, env: Mapping[str, str], log: str, seen: Connection) -> None:
    """pytest, in the new process. log: takes what it prints; seen: where observations go."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.dont_write_bytecode = True  # nothing is written beside the grader
    with Path(log).open("w") as said:
        for number in (1, 2):
            os.dup2(said.fileno(), number)
    number = os.dup(seen.fileno())  # no program that the grader starts holds it
    seen.close()
    import pytest  # noqa: PLC0415 - in the new process only, where it is there already

    sys.exit(pytest.main([*words, f"--klab-observations={number}"]))


def run(job: Job, limit_s: float, stop: Event | None, hear: Callable[[Observation], None]) -> str:
    """Run the tests; returns why nothing can be told although they ran, or nothing."""
    # No other plugin, and no options from outside.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    reading, writing = _SERVER.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile(prefix="klab-grader-", mode="r", errors="replace") as log, reading:
        arguments = (job.words(), job.lab.folder, env, log.name, writing)
        process = _SERVER.Process(target=_begin, args=arguments, name=job.lab.id)
        with writing:
            process.start()
        try:
            last = _listen(reading.fileno(), time.monotonic() + limit_s, stop, hear)
            if last is None:
                stopped = stop is not None and stop.is_set()
                return "it was stopped" if stopped else f"the check did not end within {limit_s:g} s"
            process.join(PATIENCE_S)
        finally:
            _end(process)
        if last == END:
            return ""
        said = "\n".join(log.read().strip().splitlines()[-15:])
        return f"the grader of {job.lab.id} cannot be run (pytest ended with {process.exitcode}):\n{said}"


def _listen(stream: int, until: float, stop: Event | None, hear: Callable[[Observation], None]) -> str | None:
    """Hand on what comes until the grader ends; its last line, None when it had to be given up."""
    rest, last = b"", ""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while time.monotonic() < until and not (stop and stop.is_set()):
            if not selector.select(timeout=0.2):
                continue
            chunk = os.read(stream, 1 << 16)
            if not chunk:
                return last
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                last = line.decode()
                if last != END:
                    hear(Observation.from_line(last))
    return None


def _end(process: BaseProcess) -> None:
    """See the grader gone: told first, so that it ends its guests, by force later."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if not process.is_alive():
            return
        with suppress(ProcessLookupError):  # it has gone, or has no group of its own yet
            os.killpg(process.pid or 0, sign)
        process.join(PATIENCE_S)
