# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel for the case of a crash, loaded into a debuggee: it writes out what is left of the first.

The capture kernel is the same one, in memory that crashkernel= keeps free for it. Its init
(data/guest-init.sh) finds /proc/vmcore, filters it and hands it over through a port, so that no disk
of the debuggee need work any more.
"""

from __future__ import annotations

import struct
from pathlib import Path

from klab.debuggee import agent
from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError
from klab.guest import initramfs, qemu
from klab.machine import argv

# Linux, Documentation/arch/x86/boot.rst: what the kernel wants in one piece before it can look around.
INIT_SIZE = struct.Struct("<I")
INIT_SIZE_AT = 0x260
# Beside kernel and initramfs (twice: packed and unpacked): the tables of memory, Debian's programs, and
# makedumpfile with its buffers. Measured: with 32 MiB less it ends for want of memory.
ROOM = 96  # MiB
STEPS = 16  # MiB: what is asked for is rounded up
LOAD_S = 60.0
PLACE = "klab/capture"
WORDS = ["console=ttyS0", "loglevel=4", "panic=-1", "nr_cpus=1", "irqpoll", "reset_devices"]
DUMPED = "dumped"  # the capture kernel's word behind the dump, see data/guest-init.sh


def least(kernel: Path, initrd: Path) -> int:
    """MiB that crashkernel= must keep free for this kernel and initramfs."""
    with kernel.open("rb") as stream:
        stream.seek(INIT_SIZE_AT)
        (image,) = INIT_SIZE.unpack(stream.read(INIT_SIZE.size))
    need = (image >> 20) + 2 * (initrd.stat().st_size >> 20) + ROOM
    return int(-(-need // STEPS) * STEPS)


def reserve(asked: int, memory: int, kernel: Path, initrd: Path) -> int:
    """MiB to keep free: what was asked for, or for 0 what is needed. Raises KlabError when it cannot do."""
    need = least(kernel, initrd)
    if asked and asked < need:
        raise KlabError(
            f"crashkernel={asked}M is too small: this kernel and its tools want {need} MiB to write a dump",
            step=STEP,
            mend=f"--crashkernel {need}, or leave it out",
        )
    if (asked or need) > memory // 2:
        raise KlabError(
            f"of {memory} MiB {asked or need} cannot be kept free for a crash",
            step=STEP,
            mend=f"--memory {2 * (asked or need)}",
        )
    return asked or need


def cmdline(kernel: str) -> str:
    """The capture kernel's command line. kernel: what its flavour wants on it."""
    return " ".join([kernel, *WORDS, f"klab.base={qemu.DEBIAN}", *argv.EMULATED])


def files(debuggee: Debuggee) -> dict[str, Path]:
    """What is loaded, by where it lies in the debuggee: the kernel that runs, and its initramfs."""
    own = debuggee.folder / "initrd"  # of a kernel whose drivers are modules
    initrd = own if own.exists() else initramfs.ensure()
    return {f"{PLACE}/bzImage": debuggee.artefact().file("bzImage"), f"{PLACE}/initrd": initrd}


def load(debuggee: Debuggee, words: str) -> None:
    """Lay the capture kernel ready. Raises KlabError with what kexec said when that fails."""
    laid = {name: (initramfs.DATA, path.read_bytes()) for name, path in files(debuggee).items()}
    script = (
        f"cd /{PLACE} && chroot / /sbin/kexec -p -s --initrd=/{PLACE}/initrd --command-line='{words}'"
        f" /{PLACE}/bzImage; cd /; rm -r /{PLACE}; [ $(cat /sys/kernel/kexec_crash_loaded) = 1 ]"
    )
    done = agent.call(debuggee, [script], files=laid, deadline_s=LOAD_S)
    if done.status:
        raise KlabError(
            f"no kernel could be loaded for a crash: {done.output.decode(errors='replace').strip()}",
            step=STEP,
            log=debuggee.console,
            mend="klab debuggee down; klab debuggee up --kdump with more --memory",
        )


def dumped(debuggee: Debuggee) -> bool | None:
    """Whether a dump was written, or could not be; None when there was no crash, or it is not done."""
    try:
        lines = (debuggee.folder / "status").read_text().splitlines()
    except OSError:
        return None
    said = [line.split() for line in lines if line.startswith(f"{DUMPED} ")]
    return said[-1][1] == "0" if said else None
