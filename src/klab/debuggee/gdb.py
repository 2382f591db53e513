# SPDX-License-Identifier: GPL-3.0-or-later
"""gdb on a debuggee: on the right vmlinux, with the kernel's own helpers, connected.

gdb is that of the root `debug`, so that a host needs none, and every host has the same.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from klab.archive import debug
from klab.debuggee.halt import KGDB, LINES, line
from klab.debuggee.model import HERE, STEP, Debuggee
from klab.errors import KlabError
from klab.kernel import root, symbols

SYMBOLS, LINE = "/klab/symbols", "/klab/debuggee"


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
    words += [f"{symbols.PLACE}/{symbols.NAME}", "-x", f"{SYMBOLS}/vmlinux-gdb.py"]
    words += ["-ex", f"target remote {LINE}/{LINES[way]}"]
    words += ["-ex", "klab-watchable"] if way == KGDB else []
    return [*words, *more]


def shown(debuggee: Debuggee) -> dict[str, Path]:
    """What gdb needs to see, by where it sees it: vmlinux, the kernel's helpers, the debuggee's lines."""
    kernel = symbols.ensure(debuggee.debugged()).parent
    return {symbols.PLACE: kernel, SYMBOLS: _symbols(debuggee), LINE: debuggee.folder}


def words(debuggee: Debuggee, way: str, more: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """gdb's command line and environment, for this computer. more: as `said` has it."""
    tools = root.ready(symbols.ROOT).with_binds({**shown(debuggee), HERE: Path.cwd()})
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
