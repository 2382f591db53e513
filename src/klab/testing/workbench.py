# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixture `lab`: the student's files, and builds of them in the sandbox."""

from __future__ import annotations

import importlib.util
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from klab import catalogue, sandbox, store
from klab import digest as digests
from klab.errors import KlabError
from klab.kernel import artefact, dotconfig, student
from klab.lab import workspace
from klab.testing import expect
from klab.testing.observe import BUILDS, PASS, RECORDER

RUN_S = 60.0
MEMORY = 1024  # MiB
TELLING = 1500  # characters of a build's output
KERNEL = "/kernel"  # where programs that are built find the files of the lab's kernel


@dataclass(frozen=True)
class Built:
    """A workspace after `make`: its folder, and what make said."""

    folder: Path
    log: str

    def file(self, name: str) -> Path:
        """What the build should have made; the test fails when it is not there."""
        __tracebackhide__ = True
        path = self.folder / name
        # A link could lead anywhere on the host; a build has no use for one.
        if path.is_file() and not path.is_symlink():
            return path
        expect.fail(
            f"make builds {name}",
            observed=f"make ended well, but {name} is not there",
            expected=f"the file {name}",
            look="Makefile",
        )


@dataclass(frozen=True)
class OwnKernel:
    """A kernel that the student has made. image: its bzImage; config: {symbol: value, n for not set}."""

    image: Path
    symbols: Path
    config: dict[str, str]


@dataclass
class Workbench:
    """A lab under its grader. spec: its metadata; random: the same for the same seed.

    kept: where builds of earlier runs lie, by what went into them; None: they are not kept.
    ours: the files are klab's own, so nothing can be told when they do not build.
    """

    spec: catalogue.Lab
    seed: int
    random: random.Random
    workspace: Path
    builds: Path
    kept: Path | None = None
    ours: bool = False
    _made: dict[tuple[str, ...], Built] = field(default_factory=dict)

    def kernel(self, name: str | None = None) -> store.Entry:
        """The kernel of a flavour, the lab's own without a name. Raises KlabError when not built."""
        return artefact.get(name or self.spec.kernel)

    def module(self, name: str) -> ModuleType:
        """One of the grader's own: grader/NAME.py."""
        spec = importlib.util.spec_from_file_location(name, self.spec.folder / f"grader/{name}.py")
        if not spec or not spec.loader:
            raise KlabError(f"{self.spec.id} has no grader/{name}.py", step="grader")
        found = importlib.util.module_from_spec(spec)
        sys.modules[name] = found  # a dataclass looks for its module by name
        spec.loader.exec_module(found)
        return found

    def make(self, target: str = "", kernel: str | None = None, *, tools: str = "") -> Built:
        """`make TARGET` on a copy of the files, against the headers of a flavour.

        target: words for make. tools: programs are built instead of modules, with that build root
        (root.NAMES), and the files of the flavour, such as its vmlinux, lie at KERNEL. Built once
        for each of these. The test fails with the compiler's words when it does not build.
        """
        __tracebackhide__ = True
        wanted = (target, kernel or self.spec.kernel, tools)
        if wanted not in self._made:
            self._made[wanted] = self._build(*wanted)
        return self._made[wanted]

    def starter(self) -> Workbench:
        """The same lab on the files that it begins with."""
        self.builds.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="starter-", dir=self.builds))
        folder = Path(shutil.copytree(self.spec.starter, place / "work"))
        return replace(self, workspace=folder, builds=place / "builds", ours=True, _made={})

    def restored(self, more: Mapping[str, str | Path] | None = None) -> Workbench:
        """The same lab on a copy of the files, where all but the student's own is the starter's again.

        So what a student did to a header or a Makefile is no part of the answer. more: files of
        the grader that go beside them, {name: text or a file here}.
        """
        self.builds.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="restored-", dir=self.builds))
        folder = workspace.copy(self.workspace, place / "work")
        starter = self.spec.starter
        names = {path.relative_to(starter).as_posix() for path in starter.rglob("*") if path.is_file()}
        ours: dict[str, str | Path] = {
            name: starter / name for name in sorted(names - set(self.spec.workspace))
        }
        for name, content in {**ours, **(more or {})}.items():
            target = folder / name
            target.unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, target)
            else:
                target.write_text(content)
        return replace(self, workspace=folder, builds=place / "builds", _made={})

    def _build(self, target: str, flavour: str, tools: str) -> Built:
        __tracebackhide__ = True
        what = f"{BUILDS} for the kernel {flavour}"
        place = self.builds / f"{len(self._made)}-{flavour}"
        kept = self._kept(target, flavour, tools)
        if kept and kept.is_dir():
            self._note(what)
            return Built(workspace.copy(kept, place), kept.with_suffix(".log").read_text())
        folder = workspace.copy(self.workspace, place)
        objects = self.kept / "objects" if self.kept else None
        try:
            if tools:
                shows = {KERNEL: self.kernel(flavour).path}
                words = ["make", *target.split()]
                said = sandbox.run(
                    words,
                    folder=folder,
                    deadline_s=sandbox.MAKE_S,
                    toolchain=tools,
                    shows=shows,
                    objects=objects,
                )
            else:
                said = sandbox.make(folder, flavour, target, objects=objects)
        except KlabError as error:
            if self.ours or sandbox.ENDED not in error.what:
                raise
            expect.fail(what, observed=error.what, expected="a build that ends", look=error.mend)
        log = f"{said.out}{said.err}"
        if said.code and self.ours:
            raise KlabError(
                f"klab's own files of {self.spec.id} do not build: {_telling(log)}", step="grader"
            )
        if said.code:
            expect.fail(
                what,
                observed=f"{f'make {target}'.strip()} ended with {said.code}:\n{_telling(log)}",
                expected="a build without errors",
                look=_place(log) or "Makefile",
            )
        self._note(what)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.with_suffix(".log").write_text(log)
            workspace.copy(folder, kept.with_suffix(".new")).rename(kept)
        return Built(folder, log)

    def _note(self, what: str) -> None:
        """A build that went well is an observation about the student's files."""
        if not self.ours:
            RECORDER.note(PASS, what)

    def _kept(self, target: str, flavour: str, tools: str) -> Path | None:
        """Where the build of these files for that kernel is kept, or would be."""
        if not self.kept:
            return None
        made = [digests.of_tree(self.workspace), self.kernel(flavour).digest, target, tools]
        return self.kept / digests.of_data(made)

    def own_kernel(self, *fragments: Path, base: student.Wanted, patch: Path | None = None) -> OwnKernel:
        """The pinned kernel with `patch`, configured by tinyconfig and the fragments.

        base: a kernel of the grader's, as like to this one as possible: the build goes on
        from it. The same content is built once. The test fails with what Kconfig, git or the
        compiler say of the student's work.
        """
        __tracebackhide__ = True
        student.ensure(base, reference=True)  # where this fails it is not the student's fault
        what = f"{BUILDS} a kernel"
        try:
            entry = student.ensure(student.Wanted(fragments, patch, base))
        except student.Refused as error:
            seen = f"{error.what}:\n{_telling(error.said)}" if error.said else error.what
            look = _place(error.said) or error.mend or (patch or fragments[-1]).name
            expect.fail(what, observed=seen, expected="a kernel as it was asked for", look=look)
        RECORDER.note(PASS, what)
        config = dotconfig.read_config(entry.file("config").read_text())
        return OwnKernel(entry.file("bzImage"), entry.file("System.map"), config)

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        deadline_s: float = RUN_S,
        memory: int = MEMORY,
        shows: Mapping[str, Path] | None = None,
    ) -> sandbox.Said:
        """Run a command in the sandbox on this computer, where `folder` is /work.

        shows: more folders to be read, {place inside: folder}. For tools that read what the
        student wrote; what the student *built* runs in guests.
        """
        return sandbox.run(command, folder=folder, deadline_s=deadline_s, memory_mib=memory, shows=shows)


def _telling(log: str) -> str:
    """The compiler's errors, else the end of what make said."""
    lines = log.splitlines()
    first = next((n for n, line in enumerate(lines) if "error:" in line or "undefined" in line), None)
    return "\n".join(lines[first : first + 8]) if first is not None else log[-TELLING:]


def _place(log: str) -> str:
    """`file:line` of the first error, or nothing."""
    line = next((line for line in log.splitlines() if " error:" in line), "")
    return ":".join(line.split(":")[:2]).removeprefix("/work/").removeprefix(f"{student.SRC}/")
