# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a debuggee up, down, and back to its first moment."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import time
import uuid
from contextlib import suppress
from dataclasses import replace

from klab import accel
from klab.debuggee import agent, dumps, halt, kdump, model, monitor
from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError
from klab.guest import initramfs, kept, qemu, runner
from klab.kernel import supply
from klab.machine import process
from klab.run import TIED, tail

MEMORY = 512  # MiB
# Symbols are where vmlinux says, or gdb would have to be told how far they were moved; and a panic
# enters the debugger, which it does not where it leads to a restart.
CMDLINE = "kgdboc=ttyS1,115200 nokaslr panic=0"
# KGDB would be entered by an oops, before any dump.
KDUMP = "nokaslr oops=panic crashkernel={}M"
MORE = 64  # MiB beside twice its memory that each of its files may have, or it is ended
UP_S = 60.0
NOTE, BUILD_ID = struct.Struct("<III"), 3  # NT_GNU_BUILD_ID in elf.h
GONE_S = 5.0
STATES = {
    "running": "runs",
    "paused": "is stopped by QEMU's gdb stub",
    "silent": "does not answer: it stands in its debugger, or hangs",
}


def up(
    name: str,
    flavour: str,
    *,
    base: str = qemu.TINY,
    memory: int = MEMORY,
    cpus: int = 1,
    dumps_at_crash: bool = False,
    crashkernel: int = 0,
    tied: bool = False,
) -> tuple[Debuggee, bool]:
    """A debuggee of that name on a flavour's kernel, and whether it was put up now.

    memory in MiB. dumps_at_crash: another kernel writes a dump after a crash, for which crashkernel MiB are
    kept free (0: as many as it needs). tied: it ends with this process. Raises KlabError when the kernel is
    not built, there is no room for a dump, or another one is up already.
    """
    with model.changing(name):
        kernel = supply.kernel(flavour)
        known = model.load(name)
        if dumps_at_crash:
            dumps.room(memory)
            base = qemu.DEBIAN  # makedumpfile is Debian's
            crashkernel = kdump.reserve(crashkernel, memory, kernel.file("bzImage"), initramfs.ensure())
        wanted = Debuggee(
            name=name,
            uuid=str(uuid.uuid4()),
            flavour=flavour,
            kernel=kernel.digest,
            base=base,
            memory=memory,
            cpus=cpus,
            accel=accel.probe().accel,
            started=int(time.time()),
            kdump=crashkernel,
            tied=tied,
        )
        if known and known.pid:
            if known.asked == wanted.asked:
                return known, False
            raise KlabError(
                f"{name} is up on kernel {known.flavour} ({known.kernel[:12]}, {known.base},"
                f" {known.memory} MiB, {known.cpus} CPU{', kdump' if known.kdump else ''})",
                step=STEP,
                mend=f"klab debuggee down --name {name} ends it; what is in it is gone then",
            )
        return _anew(known, wanted), True


def settled(name: str) -> Debuggee | None:
    """What is known of a debuggee. One that crashed and has written its dump is put up again first.

    Raises KlabError when it could not write one.
    """
    known = model.load(name)
    if known is None or known.pid or kdump.dumped(known) is None:
        return known
    with model.changing(name):
        dumps.collect(known)
        return _start(known)


def get(name: str) -> Debuggee:
    """The debuggee of that name, which is up. Raises KlabError when it is not."""
    settled(name)
    return model.get(name)


def reset(name: str) -> Debuggee:
    """The same one, as it was at its start. It need not answer, nor be up."""
    with model.changing(name):
        known = model.load(name)
        if known is None:
            raise KlabError(f"there is no debuggee {name}", step=STEP, mend="klab debuggee up")
        _end(known)
        return _anew(known, known)


def down(name: str) -> bool:
    """End a debuggee; whether it was up. Its console stays to be read."""
    with model.changing(name):
        known = model.load(name)
        return bool(known and _end(known))


def state(debuggee: Debuggee) -> str:
    """What a debuggee that is up does, as STATES has it."""
    if monitor.state(debuggee) != "running":
        return "paused"
    return "running" if halt.answers(debuggee) else "silent"


def _anew(known: Debuggee | None, wanted: Debuggee) -> Debuggee:
    """Start `wanted` in the place of `known`, whose dump is kept first, if it left a good one."""
    with suppress(KlabError):
        if known:
            dumps.collect(known)
    return _start(wanted)


def _start(wanted: Debuggee) -> Debuggee:
    """A new QEMU that goes on from the kept state; returns when it answers."""
    model.fresh(wanted)
    kernel = wanted.artefact()
    own = KDUMP.format(wanted.kdump) if wanted.kdump else CMDLINE
    shape = runner.shape(
        kernel.file("bzImage"),
        which=wanted.accel,
        memory=wanted.memory,
        cpus=wanted.cpus,
        cmdline=f"{supply.cmdline(wanted.flavour)} {own}".strip(),
        base=wanted.base,
        devices=("vmcoreinfo",),
        entry=kernel,
        folder=wanted.place,
    )
    state = kept.ensure(shape, kernel, agent.further())
    wanted = replace(wanted, build_id=_build_id(bytes.fromhex(str(state.manifest["notes"]))))
    words = qemu.words(shape, wanted.place, serial=True, debugged=True, memory=state.path, incoming=True)
    os.mkfifo(wanted.folder / "input", 0o600)
    model.save(wanted)
    limited = [*(TIED if wanted.tied else ()), "prlimit", f"--fsize={(2 * wanted.memory + MORE) << 20}"]
    log = wanted.folder / "qemu.log"
    with log.open("wb") as said:
        running = subprocess.Popen(
            [*limited, *words, "-name", wanted.uuid],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        kept.go_on(running, wanted.place, state)
        monitor.begun(wanted, UP_S * accel.patience())
        agent.greet(wanted, UP_S * accel.patience())
        if wanted.kdump:
            kdump.load(wanted, kdump.cmdline(supply.cmdline(wanted.flavour)))
    except BaseException as error:
        running.kill()
        running.wait()
        if isinstance(error, KlabError):
            error.log = error.log or str(log)
            error.what += f"\n{tail(log)}"
        raise
    return wanted


def _build_id(notes: bytes) -> str:
    """The build-id among ELF notes (elf(5)), in hex; nothing when there is none."""
    at = 0
    while at + NOTE.size <= len(notes):
        named, described, kind = NOTE.unpack_from(notes, at)
        at += NOTE.size
        name, at = notes[at : at + named], at + -(-named // 4) * 4
        text, at = notes[at : at + described], at + -(-described // 4) * 4
        if (name, kind) == (b"GNU\0", BUILD_ID):
            return text.hex()
    return ""


def _end(known: Debuggee) -> bool:
    """End its QEMU, which has nothing to save; whether there was one."""
    pid = known.pid
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    until = time.monotonic() + GONE_S
    while process.is_ours(pid, known.uuid) and time.monotonic() < until:
        time.sleep(0.01)
    return True
