# SPDX-License-Identifier: GPL-3.0-or-later
"""A student's throw-away guest: beside the machine, with the folder it was asked for in."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from klab import accel, catalogue, sandbox
from klab.desk import place as places
from klab.errors import KlabError
from klab.guest import modules, runner, share, wire
from klab.guest.terminal import SHELL_S, Terminal
from klab.kernel import artefact
from klab.kernel import flavour as flavours
from klab.machine.model import Machine

STEP = "desk: guest"
MEMORY = 1024  # MiB: enough for kernels with sanitizers
DEADLINE_S = 600.0
CONSOLE = 64 << 10  # bytes of a lost guest's console that are shown


def run(
    machine: Machine,
    place: str,
    flavour: str,
    words: Sequence[str],
    *,
    base: str,
    tell: Callable[[bytes], None],
    terminal: Terminal | None = None,
    make: bool = False,
) -> int:
    """Run a command line on a flavour's kernel, or a shell at a terminal; its exit status.

    place: a folder as seen from ~/labs, which the command runs in a copy of; empty: none. In a
    lab's folder the guest has what that lab needs. tell: hears the output. make: build the folder
    for that kernel first; when that fails, nothing runs, and make's status is the answer. Raises
    KlabError when the guest is lost or the kernel not built.
    """
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise KlabError(f"{place} lies outside of ~/labs", step=STEP, mend="cd ~/labs")
    if make and not place:
        raise KlabError("there is nothing to make here", step=STEP, mend="cd into your lab, below ~/labs")
    kernel = artefact.get(flavour)
    line = terminal.shell(base) if terminal else runner.line(words)
    needs = _needs(place)
    with tempfile.TemporaryDirectory(prefix="klab-share-") as name:
        folder = Path(name)
        shared = bool(place) and places.get(machine, place, folder)
        if make and (said := sandbox.make(folder, flavour)).code:
            tell(f"{said.out}{said.err}".encode())
            return said.code
        files = modules.files(kernel) | (share.files(folder) if shared else {})
        with _last_words(tell) as keep:
            ran = runner.run(
                kernel.file("bzImage"),
                [share.script(line) if shared else line],
                which=accel.probe().accel,
                memory=max(MEMORY, needs.memory),
                cpus=needs.cpus,
                cmdline=" ".join([*flavours.load(flavour).cmdline, *needs.cmdline]),
                devices=needs.devices,
                files=files,
                deadline_s=SHELL_S if terminal else DEADLINE_S,
                keep=keep,
                on_output=tell,
                terminal=terminal,
                base=base,
            )
        if ran.sent:
            tell(wire.shown(ran.sent))
        if shared:
            places.update(machine, place, folder, share.write(folder, ran.results))
    return ran.status


@contextmanager
def _last_words(tell: Callable[[bytes], None]) -> Iterator[Path]:
    """Where a guest's console is kept; all of it is told when the guest is lost: there its report stands."""
    with tempfile.TemporaryDirectory(prefix="klab-console-") as folder:
        keep = Path(folder, "console")
        try:
            yield keep
        except KlabError:
            if keep.exists():
                tell(keep.read_bytes()[-CONSOLE:])
            raise


def _needs(place: str) -> catalogue.Needs:
    """What the lab in whose folder `place` lies needs; the usual elsewhere."""
    if not place:
        return catalogue.Needs()  # nobody waits for the catalogue then
    lab = catalogue.load().labs.get("/".join(PurePosixPath(place).parts[:2]))
    return lab.needs if lab else catalogue.Needs()
