# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixture `debuggee`: a kernel to be debugged, and what a student wrote run on it in the sandbox."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from klab import catalogue, sandbox
from klab.debuggee import agent, dumps, gdb, halt, lifecycle, model
from klab.debuggee.model import Debuggee
from klab.errors import KlabError
from klab.guest import initramfs
from klab.guest.initramfs import Content
from klab.kernel import symbols
from klab.machine import console
from klab.testing import expect

RUN_S = 60.0
CRASH_S = 300.0
MEMORY = 2048  # MiB of address space: vmlinux is mapped whole
WORK = sandbox.WORK


@dataclass(frozen=True)
class Session:
    """A debuggee at its first moment, for one thing to be looked at."""

    debuggee: Debuggee

    def run(
        self, line: str, *, files: Mapping[str, Content] | None = None, deadline_s: float = RUN_S
    ) -> tuple[int, str]:
        """Run a line of shell there; its exit status and output. Raises KlabError when it does not answer."""
        done = agent.call(self.debuggee, [line], files=initramfs.contents(files or {}), deadline_s=deadline_s)
        return done.status, done.output.decode(errors="replace")

    def answers(self, seconds: float = 10.0) -> bool:
        """Whether it does what it is told."""
        return agent.answers(self.debuggee, seconds)

    def console(self) -> list[str]:
        """All that it printed so far."""
        return console.lines(self.debuggee.console)

    def gdb(self, folder: Path, words: Sequence[str], *, way: str = halt.KGDB) -> sandbox.Said:
        """gdb on it, with the student's words, in `folder` (seen as /work). The test fails when it hangs."""
        with halt.line(self.debuggee, way):
            shown = gdb.shown(self.debuggee)
            self.debuggee.folder.chmod(0o755)  # the sandbox is somebody else
            (self.debuggee.folder / halt.LINES[way]).chmod(0o666)
            return _judged(["-batch", *words], "gdb", gdb.said(way, WORK, ["-batch", *words]), folder, shown)

    def crashed(self, line: str) -> dumps.Dump:
        """The dump that it leaves when it runs a line that ends it. Raises KlabError when there is none."""
        try:
            agent.call(self.debuggee, [line], deadline_s=CRASH_S)
        except KlabError:
            if self.debuggee.pid:  # it lives, and does not answer
                raise
        lifecycle.settled(self.debuggee.name)
        return dumps.get(self.debuggee.name)


def drgn(dump: dumps.Dump, folder: Path, words: Sequence[str]) -> sandbox.Said:
    """drgn on a dump, with the student's words, in `folder`. The test fails when it hangs."""
    kernel = symbols.ensure(dump.artefact()).parent
    dump.vmcore.chmod(0o644)  # the sandbox is somebody else
    shown = {symbols.PLACE: kernel, dumps.PLACE: dump.vmcore.parent}
    line = ["drgn", "-q", "-c", f"{dumps.PLACE}/{dumps.VMCORE}", "-s", f"{symbols.PLACE}/{symbols.NAME}"]
    return _judged(words, "drgn", [*line, *words], folder, shown)


def _judged(
    told: Sequence[str], tool: str, words: Sequence[str], folder: Path, shown: Mapping[str, Path]
) -> sandbox.Said:
    __tracebackhide__ = True
    try:
        return sandbox.run(
            words, folder=folder, deadline_s=RUN_S, memory_mib=MEMORY, toolchain=symbols.ROOT, shows=shown
        )
    except KlabError as error:
        if sandbox.ENDED not in error.what:
            raise
        expect.fail(
            f"{tool} {' '.join(told)} comes to its end",
            observed=error.what,
            expected="a session that ends by itself",
            look="a command that waits for something that never happens",
        )


@dataclass(frozen=True)
class Debuggees:
    """Calls of it put one up, anew each time; the last one ends with the grader."""

    spec: catalogue.Lab
    name: str

    def __call__(self, *, kdump: bool = False) -> Session:
        """A new debuggee of the lab's kernel. kdump: it leaves a dump when it crashes, and has no KGDB."""
        lifecycle.down(self.name)
        up, _ = lifecycle.up(self.name, self.spec.kernel, dumps_at_crash=kdump, tied=True)
        return Session(up)


@contextmanager
def serve(spec: catalogue.Lab) -> Iterator[Debuggees]:
    """Debuggees for one grader; nothing of them stays."""
    made = Debuggees(spec, f"grade-{os.getpid()}")
    try:
        yield made
    finally:
        lifecycle.down(made.name)
        shutil.rmtree(model.folder(made.name), ignore_errors=True)
        shutil.rmtree(dumps.place(made.name), ignore_errors=True)
