# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the steps of a proof happen: in a folder of this computer, or on a lab machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from klab import accel
from klab.catalogue import Lab
from klab.desk import place, verbs
from klab.errors import KlabError
from klab.kernel import artefact
from klab.lab import workspace
from klab.machine import lifecycle, model, parts

STEP = "contract"
NAME = "contract1"
BOOT_S = 900.0  # a first boot under emulation, beside other work
RESET_S = 120.0
LEAST = 2048  # MiB of the machine, unless a lab needs more


class Bench(Protocol):
    """What a proof does with a lab. Each call leaves the lab in a state that is known."""

    machine: str | None
    builds: Path

    def start(self) -> bool:
        """Stage the lab unless it is there; whether anything changed."""
        ...

    def lay(self, patch: Path | None) -> None:
        """A clean place with starter/ and the patch in it."""
        ...

    def solve(self) -> None:
        """The same with the reference solution."""
        ...

    def reset(self) -> None:
        """What the verb reset does to the place as it is."""
        ...

    def workspace(self) -> Path:
        """The files as the grader gets them."""
        ...


class Here:
    """A folder: labs whose work runs in guests need no machine."""

    machine: str | None = None

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder / "workspace"
        self.builds = folder / "builds"

    def start(self) -> bool:
        """Stage the lab unless it is there."""
        if self.folder.exists():
            return False
        self.folder.mkdir()
        workspace.stage(self.lab, self.folder)
        return True

    def lay(self, patch: Path | None) -> None:
        """A new folder with starter/ and the patch in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        workspace.stage(self.lab, self.folder, patch)

    def solve(self) -> None:
        """The same with the reference solution."""
        self.lay(_solution(self.lab))

    def reset(self) -> None:
        """As the verb does it: the starter again."""
        self.lay(None)

    def workspace(self) -> Path:
        """The folder."""
        return self.folder


class OnMachine:
    """The proof's own lab machine, restored from its ready snapshot for each answer."""

    def __init__(self, lab: Lab, folder: Path, machine: model.Machine) -> None:
        self.lab = lab
        self.folder = folder
        self.builds = folder / "builds"
        self.name = machine.name
        self.machine: str | None = machine.name
        self._clean = False

    @property
    def _record(self) -> model.Machine:
        return model.get(self.name)

    def _restore(self) -> None:
        with model.locked(self.name):
            lifecycle.reset(self._record, RESET_S)

    def start(self) -> bool:
        """The verb start, the first time on a clean machine."""
        if not self._clean:
            self._restore()
            self._clean = True
        return verbs.start(self._record, self.lab)

    def lay(self, patch: Path | None) -> None:
        """Restore the machine, start the lab there, and put the patched files in place."""
        self._clean = False
        self.start()
        if patch:
            with tempfile.TemporaryDirectory(prefix="klab-lab-") as folder:
                workspace.stage(self.lab, Path(folder), patch)
                place.put_back(self._record, self.lab.id, Path(folder), "proof")

    def solve(self) -> None:
        """The solution there, by patch or by the lab's own tasks."""
        if not self.lab.task("solve"):
            _solution(self.lab)
        self.lay(None)
        verbs.solve(self._record, self.lab)

    def reset(self) -> None:
        """The verb reset."""
        verbs.reset(self._record, self.lab)

    def workspace(self) -> Path:
        """A copy of ~/labs/<lab>."""
        to = self.folder / "fetched"
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir()
        if not place.get(self._record, self.lab.id, to):
            raise KlabError(
                f"{self.lab.id} is not on {self.name}",
                step=STEP,
                machine=self.name,
                mend="klab start puts it there",
            )
        return to


def _solution(lab: Lab) -> Path:
    if lab.solution and lab.solution.is_file():
        return lab.solution
    raise KlabError(f"{lab.id} has no solution", step=STEP, mend=f"write {lab.folder}/solution.patch")


@contextmanager
def own_machine(lab: Lab) -> Iterator[model.Machine]:
    """A machine of the lab's kernel, ready and with a snapshot; gone afterwards, whatever happens.

    It has a lock of its own for its whole life, so that two runs do not share it.
    """
    kernel = artefact.get(lab.kernel)
    wanted = parts.Wanted(
        kernel=parts.kernel(kernel.digest, cmdline=" ".join(lab.needs.cmdline)),
        image=parts.newest_image(),
        verdict=accel.probe(),
        memory=max(lab.needs.memory or 0, LEAST),
        cpus=max(lab.needs.cpus or 0, 2),
    )
    with model.locked(NAME):
        lifecycle.destroy(NAME)  # what a run that was killed left
    try:
        with model.locked(NAME):
            made = lifecycle.create(NAME, wanted)
            lifecycle.ready(made, BOOT_S)
        yield made
    finally:
        with model.locked(NAME):
            lifecycle.destroy(NAME)
