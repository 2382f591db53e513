# SPDX-License-Identifier: GPL-3.0-or-later
"""A promise: labs/_kernels/promises/<name>, with how it is provoked and what it must show."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from klab import described
from klab import digest as digests
from klab.errors import KlabError
from klab.kernel.flavour import kernels_dir
from klab.paths import data_file

STEP = "kernel: read promises"
MODULE, BPF, SCRIPT = "module.c", "probe.bpf.c", "run.sh"
# A promise that is a module and nothing else is provoked by loading it.
LOAD = "insmod /klab/probe.ko && echo 'klab: provoked'\n"


@dataclass(frozen=True)
class Guest:
    """The guest that a promise wants: memory in MiB, seconds until it is given up.

    A kernel with sanitizers is several times slower, all of it is emulated, and the host
    may be at work on something else; a kernel that panics ends its guest at once.
    """

    memory: int = 1024
    cpus: int = 1
    cmdline: str = ""
    deadline_s: int = 600


@dataclass(frozen=True)
class Promise:
    """One observable property. The fields are those of labs/_schema/promise.json."""

    name: str
    folder: Path
    why: str
    how: str
    shows: tuple[re.Pattern[str], ...]
    stock: str
    modules: tuple[str, ...]
    programs: tuple[str, ...]
    host: str
    guest: Guest

    def file(self, name: str) -> Path | None:
        """The path of one of the promise's files, or None when it has none of that name."""
        path = self.folder / name
        return path if path.is_file() else None

    @property
    def script(self) -> str:
        """What the guest runs."""
        path = self.file(SCRIPT)
        return path.read_text() if path else LOAD

    def digest(self, which: str) -> str:
        """What a finding depends on beside the kernel; `which` is the accelerator."""
        init = digests.of_file(data_file("guest-init.sh"))
        return digests.of_data([digests.of_tree(self.folder), init, which])


def promises_dir() -> Path:
    """Where the promises lie."""
    return kernels_dir() / "promises"


def names() -> list[str]:
    """All promises, in alphabetical order."""
    return sorted(path.parent.name for path in promises_dir().glob("*/promise.yml"))


def load(name: str) -> Promise:
    """The promise `name`. Raises KlabError when there is none or it cannot be read."""
    path = promises_dir() / name / "promise.yml"
    if not path.is_file():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise KlabError(
            f"there is no promise '{name}'", step=STEP, mend=f"{hint}promises: {', '.join(names())}"
        )
    body = described.read(path, "promise", STEP)
    try:
        shows = tuple(re.compile(pattern) for pattern in body["shows"])
    except re.error as error:
        raise KlabError(f"{path}: shows: {error}", step=STEP, mend="write a regular expression") from None
    promise = Promise(
        name=name,
        folder=path.parent,
        why=body["why"],
        how=body["how"],
        shows=shows,
        stock=body["stock"],
        modules=tuple(body.get("modules", ())),
        programs=tuple(body.get("programs", ())),
        host=body.get("host", ""),
        guest=Guest(**body.get("guest", {})),
    )
    if not (promise.file(SCRIPT) or promise.file(MODULE)):
        raise KlabError(
            f"nothing provokes the promise '{name}'",
            step=STEP,
            mend=f"write {SCRIPT} or {MODULE} into {path.parent}",
        )
    return promise
