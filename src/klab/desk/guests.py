# SPDX-License-Identifier: GPL-3.0-or-later
"""A student's throw-away guest: beside the machine, with the folder it was asked for in."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from threading import Event

from klab import accel, sandbox, store
from klab.desk import place as places
from klab.errors import KlabError
from klab.guest import modules, runner, share, terminal
from klab.kernel import artefact
from klab.kernel import flavour as flavours
from klab.machine.model import Machine

STEP = "desk: guest"
MEMORY = 1024  # MiB: enough for kernels with sanitizers
DEADLINE_S = 600.0
MAKE_S = 180.0
MAKE_MEMORY = 1024  # MiB


def _make(folder: Path, kernel: store.Entry, toolchain: str, tell: Callable[[bytes], None]) -> int:
    """`make` in the sandbox, against that kernel's headers; its exit status."""
    said = sandbox.run(
        ["make"], folder=folder, kernel=kernel, deadline_s=MAKE_S, memory_mib=MAKE_MEMORY, toolchain=toolchain
    )
    if said.code:
        tell(f"{said.out}{said.err}".encode())
    return said.code


def run(
    machine: Machine,
    place: str,
    flavour: str,
    words: Sequence[str],
    *,
    base: str,
    screen: str,
    source: int,
    tell: Callable[[bytes], None],
    make: bool = False,
) -> int:
    """Run a command line on a flavour's kernel, without words a shell; its exit status.

    place: a folder as seen from ~/labs, which the command runs in a copy of; empty: none.
    screen: a shell's terminal (terminal.script), whose keys come from the file `source`.
    tell: hears the output. make: build the folder for that kernel first; when that fails, nothing
    runs, and make's status is the answer. Raises KlabError when the guest is lost or the kernel not built.
    """
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise KlabError(f"{place} lies outside of ~/labs", step=STEP, mend="cd ~/labs")
    if make and not place:
        raise KlabError("there is nothing to make here", step=STEP, mend="cd into your lab, below ~/labs")
    kernel = artefact.get(flavour)
    line = shlex.join(words) if len(words) > 1 else words[0] if words else terminal.script(base, screen)
    left = Event()

    def talk(path: Path) -> None:
        terminal.bridge(path, source, tell, left)

    with tempfile.TemporaryDirectory(prefix="klab-share-") as name:
        folder = Path(name)
        shared = bool(place) and places.get(machine, place, folder)
        if make and (code := _make(folder, kernel, flavours.load(flavour).toolchain, tell)):
            return code
        files = modules.files(kernel) | (share.files(folder) if shared else {})
        ran = runner.run(
            kernel.file("bzImage"),
            [share.script(line) if shared else line],
            which=accel.probe().accel,
            memory=MEMORY,
            cmdline=" ".join(flavours.load(flavour).cmdline),
            files=files,
            deadline_s=DEADLINE_S if words else terminal.SHELL_S,
            on_output=tell,
            on_serial=None if words else talk,
            left=left,
            base=base,
        )
        if shared:
            places.update(machine, place, folder, share.write(folder, ran.results))
    return ran.status
