# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about a debuggee: one folder, one debuggee.json, fixed file names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from klab import lock, sockets
from klab.errors import KlabError
from klab.kernel import cached
from klab.machine import model as machines
from klab.machine import process
from klab.paths import state_dir
from klab.store import Entry

FILE = "debuggee.json"
STEP = "debuggee"
HERE = "/klab/here"  # the folder that a debugger was called in, as it sees that


@dataclass(frozen=True)
class Debuggee:
    """A guest that is debugged. memory in MiB; started: epoch seconds.

    uuid: by which its QEMU is known from all others. kernel: the digest of its artefact.
    kdump: MiB that are kept free for a capture kernel, 0 for none. tied: it ends with the
    process that put it up.
    build_id: what the kernel that runs says of itself, in hex; its vmlinux says the same.
    """

    name: str
    uuid: str
    flavour: str
    kernel: str
    base: str
    memory: int
    cpus: int
    accel: str
    started: int
    kdump: int = 0
    tied: bool = False
    build_id: str = ""

    @property
    def asked(self) -> tuple[object, ...]:
        """What was asked for when it was put up."""
        return self.kernel, self.base, self.memory, self.cpus, self.kdump

    @property
    def folder(self) -> Path:
        """Where its console, ports and record lie."""
        return folder(self.name)

    @property
    def place(self) -> Path:
        """The same by a name that is short enough for the sockets in it."""
        return sockets.folder() / f"debuggee-{self.name}"

    @property
    def console(self) -> Path:
        """All that it printed."""
        return self.folder / "console.log"

    @property
    def pid(self) -> int | None:
        """Its QEMU, or None when it is down."""
        return process.find(self.uuid)

    def artefact(self) -> Entry:
        """Its kernel. Raises KlabError when the cache has it no more."""
        return cached.get(self.kernel, self.flavour, self.name, STEP)

    def debugged(self) -> Entry:
        """The same with its symbols. Raises KlabError for a kernel that has none."""
        return symbols(self.artefact(), self.flavour)


def symbols(kernel: Entry, flavour: str) -> Entry:
    """The kernel, which has its symbols. Raises KlabError when it has none."""
    if kernel.file("vmlinux").exists():
        return kernel
    raise KlabError(
        f"kernel {flavour} has no symbols here: Debian built it",
        step=STEP,
        mend="klab debuggee down; klab debuggee up lab",
    )


def folder(name: str) -> Path:
    """Where a debuggee of that name lies. Raises KlabError for a name that cannot be one."""
    return state_dir() / "debuggees" / machines.check_name(name)


def load(name: str) -> Debuggee | None:
    """The debuggee of that name, up or not; None when there is none."""
    try:
        return Debuggee(**json.loads((folder(name) / FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None  # half of a record is none: `up` makes it anew


def get(name: str) -> Debuggee:
    """The debuggee of that name, which is up. Raises KlabError when it is not."""
    known = load(name)
    if known and known.pid:
        return known
    raise KlabError(f"the debuggee {name} is down", step=STEP, mend=f"klab debuggee up --name {name}")


def save(debuggee: Debuggee) -> None:
    """Write its record; a reader sees all of it or none."""
    draft = debuggee.folder / f"{FILE}.new"
    draft.write_text(json.dumps(asdict(debuggee), indent=2, sort_keys=True) + "\n")
    draft.replace(debuggee.folder / FILE)


def fresh(debuggee: Debuggee) -> None:
    """An empty folder for a new QEMU, and the short name that leads to it."""
    shutil.rmtree(debuggee.folder, ignore_errors=True)
    debuggee.folder.mkdir(parents=True, mode=0o700)
    debuggee.place.unlink(missing_ok=True)
    debuggee.place.symlink_to(debuggee.folder)


@contextmanager
def changing(name: str) -> Iterator[None]:
    """One at a time puts it up or down."""
    place = state_dir() / "debuggees" / f"{machines.check_name(name)}.lock"
    with lock.held(place, f"the debuggee {name}"):
        yield
