# SPDX-License-Identifier: GPL-3.0-or-later
"""gdb on a debuggee: on the right vmlinux, with the kernel's own helpers, connected.

gdb is that of the root `debug`, so that a host needs none, and every host has the same.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from klab import lock
from klab.archive import debug
from klab.debuggee import agent, monitor
from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError
from klab.kernel import root, symbols

ROOT = "debug"
KGDB, STUB = "kgdb", "stub"
LINES = {KGDB: "serial", STUB: "gdb"}  # by its socket in the debuggee's folder
ANSWER_S = 2.0  # within which a debuggee that runs answers
STOP_S = 30.0
# The kernel says so, and is in its debugger a moment later.
SYSRQ, SETTLE_S = b"sysrq: DEBUG", 0.2
# A packet that leads from the gdb stub to kdb (kgdb.rst); kdb hands it on to the stub.
ESCAPE = b"$3#33"
KERNEL, SYMBOLS, LINE = "/klab/kernel", "/klab/symbols", "/klab/debuggee"
HERE = "/klab/here"  # the folder that gdb was called in, as gdb sees it


def stop(debuggee: Debuggee) -> None:
    """Have the kernel stop itself, and wait until it has; one that stands still already stays so.

    Before it has stopped, what a debugger says would be no packet to it. Raises KlabError when it
    does not stop.
    """
    before = debuggee.console.stat().st_size
    if not agent.answers(debuggee, ANSWER_S):
        return
    agent.begin(debuggee, ["echo g >/proc/sysrq-trigger"])
    until = time.monotonic() + STOP_S
    while SYSRQ not in debuggee.console.read_bytes()[before:]:
        if time.monotonic() > until:
            raise agent.silent(debuggee, STOP_S)
        time.sleep(agent.POLL_S)
    time.sleep(SETTLE_S)


def prompt(debuggee: Debuggee) -> bytes:
    """The same for who types at kdb; returns what to type for a prompt."""
    stop(debuggee)
    return ESCAPE


@contextmanager
def alone(debuggee: Debuggee, way: str) -> Iterator[None]:
    """The line for one debugger alone; raises KlabError when another one has it, or nobody listens."""
    if way == KGDB and debuggee.kdump:
        raise KlabError(
            f"{debuggee.name} writes a dump when it crashes, and has no KGDB",
            step=STEP,
            mend="klab debuggee gdb --stub; or klab debuggee down, and up without --kdump",
        )
    with lock.held(debuggee.folder / f"{way}.lock", f"the {way} line of {debuggee.name}"):
        yield


@contextmanager
def line(debuggee: Debuggee, way: str) -> Iterator[None]:
    """The debuggee stopped, and its line for one debugger alone, while the block runs.

    way: KGDB, the kernel stops itself; or STUB, QEMU stops it. A kernel that stands in its
    debugger already stays there. After the block QEMU's stop is over, whatever gdb left
    undone. Raises KlabError when another debugger has the line.
    """
    with alone(debuggee, way):
        if way == KGDB:
            stop(debuggee)
        try:
            yield
        finally:
            if way == STUB:
                monitor.go_on(debuggee)


def _symbols(debuggee: Debuggee) -> Path:
    """A folder with the kernel's helper scripts for gdb; vmlinux stays where it is."""
    place = debuggee.folder / "symbols"
    if not place.is_dir():
        place.mkdir()
        debug.helpers(debuggee.debugged(), place)
    return place


def said(way: str, here: str, more: Sequence[str] = ()) -> list[str]:
    """gdb's own words, where the folders of `shown` are; here: the folder that it works in.

    more: words of the caller's, such as -batch or -ex COMMAND.
    """
    early = ["set auto-load safe-path /", "set debuginfod enabled off", "set confirm off"]
    words = ["gdb", "-q", "-nx", f"-cd={here}", *[word for each in early for word in ("-iex", each)]]
    words += [f"{KERNEL}/{symbols.NAME}", "-x", f"{SYMBOLS}/vmlinux-gdb.py"]
    words += ["-ex", f"target remote {LINE}/{LINES[way]}"]
    words += ["-ex", "klab-watchable"] if way == KGDB else []
    return [*words, *more]


def shown(debuggee: Debuggee) -> dict[str, Path]:
    """What gdb needs to see, by where it sees it: vmlinux, the kernel's helpers, the debuggee's lines."""
    kernel = symbols.ensure(debuggee.debugged()).parent
    return {KERNEL: kernel, SYMBOLS: _symbols(debuggee), LINE: debuggee.folder}


def words(debuggee: Debuggee, way: str, more: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """gdb's command line and environment, for this computer. more: as `said` has it."""
    tools = root.ready(ROOT).with_binds({**shown(debuggee), HERE: Path.cwd()})
    return tools.argv(said(way, HERE, more)), tools.env()


def run(debuggee: Debuggee, way: str, more: Sequence[str] = ()) -> int:
    """gdb at this terminal until it ends; its exit status."""
    argv, env = words(debuggee, way, more)
    with line(debuggee, way):
        return subprocess.run(argv, env={**os.environ, **env}, check=False).returncode


def batch(debuggee: Debuggee, way: str, commands: Sequence[str], *, deadline_s: float) -> str:
    """What gdb prints for these commands, which end the session. Raises KlabError when it takes too long."""
    more = ["-batch", *[word for each in commands for word in ("-ex", each)]]
    argv, env = words(debuggee, way, more)
    with line(debuggee, way):
        try:
            done = subprocess.run(
                argv, env={"PATH": "/usr/bin:/bin", **env}, stdin=subprocess.DEVNULL, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=deadline_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"").decode(errors="replace")[-1000:]
            raise KlabError(
                f"gdb did not end within {deadline_s:g} s; its last words:\n{said}",
                step=STEP,
                log=debuggee.console,
                mend=f"klab debuggee reset --name {debuggee.name}",
            ) from None
    return done.stdout
