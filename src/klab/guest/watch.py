# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for a guest's end, and see that it takes no more time and disk than it may."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

from klab.guest import qemu
from klab.guest.terminal import Terminal
from klab.machine import console

POLL_S = 0.01
LOOK_S = 0.5  # between two looks at the console
COMPLAINED = "its kernel complained"
REPORT_S = 5.0  # for the rest of a complaint to get there
# What a guest may write: a module that floods the log must not fill the host's disk.
CONSOLE, OUTPUT, RESULTS, SENT = 2 << 20, 16 << 20, 8 << 20, 16 << 20


def until_gone(
    running: Popen[bytes],
    folder: Path,
    deadline_s: float,
    *,
    on_output: Callable[[bytes], None] | None,
    enough: Callable[[list[str]], object] | None,
    terminal: Terminal | None,
) -> str:
    """Wait for the guest's end; why it was ended before, or nothing."""
    limits = {"console.log": CONSOLE, "output": OUTPUT, "results": RESULTS, qemu.PCAP: SENT}
    seen = heard = 0
    until, why = time.monotonic() + deadline_s, f"{deadline_s:g} s passed"
    look = time.monotonic() + LOOK_S
    while True:
        ended = running.poll() is not None
        if on_output and (folder / "output").exists():
            with (folder / "output").open("rb") as stream:
                stream.seek(seen)
                if more := stream.read():
                    on_output(more)
                    seen += len(more)
        for name, limit in limits.items():
            if _size(folder / name) > limit:
                return f"it wrote more than {limit >> 20} MiB ({name.removesuffix('.log')})"
        if ended:
            return ""
        if terminal and terminal.left.is_set():
            return "whoever used it has gone"
        if enough and time.monotonic() > look and (size := _size(folder / "console.log")) > heard:
            look, heard = time.monotonic() + LOOK_S, size
            if enough(console.lines(folder / "console.log")):
                enough, until, why = None, min(until, time.monotonic() + REPORT_S), COMPLAINED
        if time.monotonic() > until:
            return why
        time.sleep(POLL_S)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
