# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot somebody's kernel with somebody's init: no word of ours is in the guest.

What can be seen is the serial line, and how it ended: by itself, or by us.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from klab.guest import initramfs, process, qemu
from klab.guest.watch import CONSOLE
from klab.machine import console

OFF, RESET, PANIC, FLOOD, ON = "powered off", "rebooted", "panicked", "flooded its console", "went on"
SETTLE_S = 0.5  # in which a panic is told to its end
POLL_S = 0.02
BANNER = re.compile(r"^(\[[ \d.]+\] )?Linux version ")


@dataclass(frozen=True)
class Booted:
    """A boot that ended. how: OFF, or why it was ended; lines: of the serial line."""

    how: str
    lines: tuple[str, ...]
    wall_s: float


def boot(
    kernel: Path,
    files: initramfs.Files,
    *,
    which: str,
    cmdline: str = "",
    memory: int = 128,
    deadline_s: float = 60.0,
    until: str = "",
) -> Booted:
    """Boot a bzImage with an initramfs of `files`, until it powers off, restarts or is lost.

    which: the accelerator; memory in MiB. until: a line behind which nothing is waited for.
    Raises KlabError when QEMU cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="klab-guest-") as name:
        folder = Path(name)
        initrd = folder / "initrd"
        # What the kernel opens for init before there is a /dev (init/initramfs.c, console_on_rootfs).
        initrd.write_bytes(initramfs.CONSOLE + initramfs.archive(files))
        shape = qemu.Shape(kernel, initrd, which, memory, 1, cmdline)
        began = time.monotonic()
        with process.guest(qemu.bare(shape, folder), folder) as running:
            how = ""
            while not how and time.monotonic() - began < deadline_s:
                if running.poll() is not None:
                    how = OFF if running.returncode == 0 else ON
                elif how := _hopeless(folder / "console.log"):
                    time.sleep(SETTLE_S)
                elif until and until in console.lines(folder / "console.log"):
                    break
                else:
                    time.sleep(POLL_S)
        took = round(time.monotonic() - began, 2)
        lines = console.lines(folder / "console.log")
        return Booted(how or ON, tuple(lines[: (_boots(lines) + [len(lines)] * 2)[1]]), took)


def _boots(lines: Sequence[str]) -> list[int]:
    """The lines with which a kernel begins."""
    return [number for number, line in enumerate(lines) if BANNER.match(line)]


def _hopeless(path: Path) -> str:
    """Why there is nothing more to wait for, or nothing."""
    if not path.exists():
        return ""
    if path.stat().st_size > CONSOLE:
        return FLOOD
    lines = console.lines(path)
    if any("Kernel panic - not syncing" in line for line in lines):
        return PANIC
    return RESET if len(_boots(lines)) > 1 else ""
