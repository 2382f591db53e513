# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of debuggees, and what reads them: crash and drgn of the root `debug`, on the right vmlinux."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from klab.debuggee import monitor
from klab.debuggee.gdb import HERE, ROOT
from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError
from klab.kernel import root
from klab.store import Entry

TAKE_S = 120.0
READ_S = 300.0
# The first bytes of a dump as makedumpfile and QEMU write it, and as /proc/vmcore has it.
MAGIC = (b"KDUMP   ", b"\x7fELF")
SPARE = 1.1  # a dump of all memory, and its headers


def live(debuggee: Debuggee, target: Path) -> None:
    """Write the whole memory of a debuggee that goes on afterwards, compressed.

    Raises KlabError when QEMU cannot write it; what was there stays until the new one is whole.
    """
    room = os.statvfs(target.parent)
    free, want = room.f_bavail * room.f_frsize >> 20, int(debuggee.memory * SPARE)
    if free < want:
        raise KlabError(
            f"a dump of {debuggee.name} may take {want} MiB, and {target.parent} has {free} MiB left",
            step=STEP,
            mend="free some space (klab cache list), or name another folder",
        )
    draft = target.with_name(f"{target.name}.part")
    try:
        monitor.ask(
            debuggee, "dump-guest-memory", patience_s=TAKE_S,
            paging=False, protocol=f"file:{draft.absolute()}", format="kdump-zlib",
        )  # fmt: skip
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def check(dump: Path) -> None:
    """Raises KlabError for what is no dump, or only the beginning of one."""
    try:
        with dump.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise KlabError(f"{dump} cannot be read: {error.strerror}", step=STEP, mend="name a dump") from None
    if not head.startswith(MAGIC):
        raise KlabError(
            f"{dump} is no dump of a kernel", step=STEP, log=dump, mend="klab debuggee dump FILE makes one"
        )


def _inside(kernel: Entry, dump: Path) -> root.Toolroot:
    binds = {"/klab/kernel": kernel.path, "/klab/dump": dump.absolute().parent, HERE: Path.cwd()}
    return root.ready(ROOT).with_binds(binds)


def crash(kernel: Entry, dump: Path, more: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """crash's command line and environment for a dump of that kernel. more: words of the caller's."""
    tools = _inside(kernel, dump)
    return tools.argv(["crash", *more, "/klab/kernel/vmlinux", f"/klab/dump/{dump.name}"]), tools.env()


def drgn(kernel: Entry, dump: Path, more: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """The same for drgn. more: a script of the caller's and its words, seen from `gdb.HERE`."""
    tools = _inside(kernel, dump)
    words = ["drgn", "-c", f"/klab/dump/{dump.name}", "-s", "/klab/kernel/vmlinux", *more]
    return tools.argv(["sh", "-c", f'cd {HERE}; exec "$@"', "sh", *words]), tools.env()


def answer(command: tuple[list[str], dict[str, str]], said: str = "") -> str:
    """What one of them answers to these lines on its standard input. Raises KlabError when it fails."""
    argv, env = command
    try:
        done = subprocess.run(
            argv, env={"PATH": "/usr/bin:/bin", **env}, input=said, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=READ_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise KlabError(f"no answer within {READ_S:g} s", step=STEP, mend="ask for less at a time") from None
    if done.returncode:
        raise KlabError(
            f"the dump cannot be read (exit status {done.returncode}):\n{done.stdout[-1500:].strip()}",
            step=STEP,
            mend="is it whole, and of this kernel? klab debuggee dump FILE makes a new one",
        )
    return done.stdout
