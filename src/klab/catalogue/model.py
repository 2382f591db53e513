# SPDX-License-Identifier: GPL-3.0-or-later
"""The course as data: tracks, modules, labs, learning paths. Frozen once loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Needs:
    """What a lab claims of its kernel and machine. memory in MiB, 0: the usual."""

    symbols: tuple[str, ...] = ()
    cmdline: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    cpus: int = 1
    memory: int = 0


@dataclass(frozen=True)
class Lab:
    """A lab: labs/<module>/<name>, with what its lab.yml says."""

    id: str
    folder: Path
    title: str
    goal: str
    minutes: int
    level: int
    wave: int
    covers: tuple[str, ...]
    kernel: str
    where: str
    needs: Needs
    workspace: tuple[str, ...]
    hints: tuple[str, ...]
    splats: tuple[str, ...] = ()
    sanitize: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The module's id."""
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        """The id without its module."""
        return self.id.partition("/")[2]

    @property
    def flavours(self) -> tuple[str, ...]:
        """The kernels of its proof: its own first, then those of its silent run."""
        return (self.kernel, *self.sanitize)

    @property
    def starter(self) -> Path:
        """The files that a student begins with."""
        return self.folder / "starter"

    @property
    def solution(self) -> Path:
        """A patch to starter/ that makes it pass."""
        return self.folder / "solution.patch"

    @property
    def wrongs(self) -> tuple[Path, ...]:
        """Patches to starter/ that must fail."""
        return tuple(sorted((self.folder / "wrong").glob("*.patch")))

    @property
    def grader(self) -> Path:
        """The pytest file that judges."""
        return self.folder / "test_outcome.py"

    def task(self, verb: str) -> Path | None:
        """The lab's own Ansible tasks for a verb, or None."""
        path = self.folder / "tasks" / f"{verb}.yml"
        return path if path.is_file() else None


@dataclass(frozen=True)
class Module:
    """A module of the course. bullets: what it teaches, by key; complete: every one has a lab.

    leaves: what its students may leave in the machine's kernel.
    """

    id: str
    folder: Path
    track: str
    title: str
    hours: str
    bullets: Mapping[str, str]
    labs: tuple[str, ...]
    complete: bool = False
    leaves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Track:
    """A track: modules in their order."""

    id: str
    title: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """A part of a learning path: when, and which modules."""

    title: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class LearningPath:
    """A learning path through the modules."""

    id: str
    title: str
    why: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Course:
    """All of it, by id, in the order of labs/course.yml."""

    tracks: Mapping[str, Track]
    modules: Mapping[str, Module]
    labs: Mapping[str, Lab]
    paths: Mapping[str, LearningPath] = field(default_factory=dict)
