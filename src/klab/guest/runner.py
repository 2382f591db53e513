# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one command on a kernel in a throw-away guest, with its exact exit status."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from klab import store
from klab.errors import KlabError
from klab.guest import initramfs, kept, modules, process, qemu, watch, wire
from klab.guest.terminal import Terminal
from klab.kernel import cached
from klab.machine import console
from klab.paths import laid
from klab.run import tail

STEP = "guest: run"
MENDS = {  # by the end of the reason
    " s passed": "give it more time (--timeout), or look for a loop or a lock that never ends",
    watch.COMPLAINED: "read the first report on the console: what comes after it may be its consequence",
    "": "read the console; look for what writes without end, or restarts the guest",
}
# Debian's kernels have these as modules; base debian has a disk.
DRIVERS = ("virtio_blk", "crc32c_generic", "ext4", "overlay")


@dataclass(frozen=True)
class Ran:
    """A command that ended in a guest: its exit status, its output, wall seconds in all.

    console: the lines that kernel and init wrote. results: what it left in /klab/out.
    sent: what a guest with the device `net` sent to the port of netconsole.
    """

    status: int
    output: bytes
    wall_s: float
    console: tuple[str, ...] = ()
    results: Mapping[str, bytes] = field(default_factory=dict)
    sent: tuple[bytes, ...] = ()


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """What the guest unpacks: a tar archive of {path: (mode with its type, content)}."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, (mode, content) in files.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = mode & 0o7777, len(content)
            kind = mode & ~0o7777
            if kind == initramfs.LINK:
                member.type, member.linkname, member.size = tarfile.SYMTYPE, content.decode(), 0
            elif kind == initramfs.FOLDER:
                member.type = tarfile.DIRTYPE
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return packed.getvalue()


def handed(files: Mapping[str, tuple[int, bytes]], *more: object) -> bytes:
    """What a guest is given: the length of an archive, the time, `more` words, the archive."""
    body = archive(files)
    return " ".join(map(str, (len(body), int(time.time()), *more))).encode() + b"\n" + body


def hand_over(folder: Path, files: Mapping[str, tuple[int, bytes]]) -> None:
    """Write files and time into the guest's input; returns when it has taken them, or is gone."""
    with suppress(OSError):
        fifo = os.open(folder / "input", os.O_WRONLY)
        try:
            rest = memoryview(handed(files))
            while rest:
                rest = rest[os.write(fifo, rest) :]
        finally:
            os.close(fifo)


def _results(packed: bytes) -> dict[str, bytes]:
    """The plain files that the command left; a guest that died half-way left none."""
    found: dict[str, bytes] = {}
    with (
        suppress(tarfile.TarError),
        tarfile.open(fileobj=io.BytesIO(packed[: watch.RESULTS]), mode="r:") as tar,
    ):
        for member in tar:
            if member.isreg() and not member.issparse() and (stream := tar.extractfile(member)):
                found[member.name.removeprefix("./")] = stream.read()
    return found


def line(command: Sequence[str]) -> str:
    """Shell words as one line; a single word is a line already, with the shell's own signs."""
    return shlex.join(command) if len(command) > 1 else command[0]


def shape(
    kernel: Path,
    *,
    which: str,
    memory: int,
    cpus: int,
    cmdline: str = "",
    base: str = qemu.TINY,
    devices: Sequence[str] = (),
    cpu: str = "",
    entry: store.Entry | None,
    folder: Path,
) -> qemu.Shape:
    """The guest that is asked for. Raises KlabError when there is no image for base debian.

    entry: the artefact that the kernel belongs to. folder: takes the initramfs of a kernel
    whose drivers are modules.
    """
    initrd = plain = initramfs.ensure()
    drivers = modules.files(entry, DRIVERS if base == qemu.DEBIAN else ()) if entry else {}
    if drivers:
        initrd = folder / "initrd"
        initrd.write_bytes(plain.read_bytes() + initramfs.archive(drivers))
    disk = _disk() if base == qemu.DEBIAN else None
    return qemu.Shape(kernel, initrd, which, memory, cpus, cmdline, base, tuple(devices), disk, cpu)


def _disk() -> Path:
    """The image below a guest of base debian. Raises KlabError when there is none."""
    if laid():
        raise KlabError(
            "a guest inside of a lab machine has no Debian of its own, and writes no dump when it crashes",
            step=STEP,
            mend="a guest beside the machine can: --beside",
        )
    from klab.machine import parts  # noqa: PLC0415 - a lab machine's klab does without

    return parts.newest_image().path


def _entry(kernel: Path) -> store.Entry | None:
    """The artefact that a bzImage belongs to, or None for one from elsewhere."""
    entry = store.find(cached.KIND, kernel.parent.name)
    return entry if entry and entry.path == kernel.parent else None


def run(
    kernel: Path,
    command: Sequence[str],
    *,
    which: str,
    memory: int = 512,
    cpus: int = 1,
    cmdline: str = "",
    files: Mapping[str, tuple[int, bytes]] | None = None,
    deadline_s: float = 120.0,
    keep: Path | None = None,
    on_output: Callable[[bytes], None] | None = None,
    on_serial: Callable[[Path], None] | None = None,
    enough: Callable[[list[str]], object] | None = None,
    terminal: Terminal | None = None,
    base: str = qemu.TINY,
    devices: Sequence[str] = (),
    cpu: str = "",
    fresh: bool = False,
    erst: Path | None = None,
) -> Ran:
    """Run `command` (shell words) on `kernel` in a guest, and return when the guest has gone.

    which: the accelerator. memory in MiB. files: more of them in the guest (initramfs.Files).
    keep: where the console is kept, whatever happens. on_output sees output as it comes;
    on_serial runs beside the guest with the socket of its second UART, until that closes.
    enough: asked of the console's lines whenever there are more; once it says yes, the guest
    has watch.REPORT_S left. terminal: is served there, and the guest ended when whoever types has gone.
    base: `tiny` is busybox, `debian` the lab image. cpu: what its processors have beside
    klab's own choice. A kernel of klab's cache goes on from a kept guest; fresh: it boots.
    erst: what the device of that name held when the last guest ended, and takes what it holds then.
    A guest with that device boots.
    Raises KlabError with the last lines of the console when the guest panics, hangs, floods
    its log or ends without a status.
    """
    script = line(command)
    on_serial = terminal.serve if terminal else on_serial
    laid = {**(files or {}), "klab/command": (initramfs.PROGRAM, f"{script}\n".encode())}
    with tempfile.TemporaryDirectory(prefix="klab-guest-") as name:
        folder = Path(name)
        entry = _entry(kernel)
        asked = shape(
            kernel, which=which, memory=memory, cpus=cpus, cmdline=cmdline, base=base, devices=devices,
            cpu=cpu, entry=entry, folder=folder,
        )  # fmt: skip
        if erst and erst.exists():
            shutil.copyfile(erst, folder / qemu.ERST)
        # QEMU keeps no address of its ERST device: a guest that goes on does not reach it.
        goes_on = entry and not fresh and qemu.ERST not in devices
        state = kept.ensure(asked, entry) if entry and goes_on else None
        began = time.monotonic()  # keeping a guest is no part of the command's time
        words = qemu.words(
            asked, folder, serial=bool(on_serial), memory=state.path if state else None, incoming=bool(state)
        )
        threads = [Thread(target=hand_over, args=(folder, laid), daemon=True)]
        if on_serial:
            threads.append(Thread(target=on_serial, args=(folder / "serial",), daemon=True))
        try:
            with process.guest(words, folder) as running:
                for thread in threads:
                    thread.start()
                if state:
                    kept.go_on(running, folder, state)
                why = watch.until_gone(
                    running, folder, deadline_s, on_output=on_output, enough=enough, terminal=terminal
                )
            for thread in threads[1:]:
                thread.join(timeout=5)
        finally:
            _release(folder)
            if erst and (folder / qemu.ERST).exists():
                shutil.copyfile(folder / qemu.ERST, erst)
            if keep and (folder / "console.log").exists():
                keep.parent.mkdir(parents=True, exist_ok=True)
                keep.write_bytes((folder / "console.log").read_bytes()[: watch.CONSOLE])
        status = _bytes(folder / "status").decode().split()
        if not why and status and status[-1].isdigit():
            return Ran(
                status=int(status[-1]),
                output=_bytes(folder / "output"),
                wall_s=round(time.monotonic() - began, 2),
                console=tuple(console.lines(folder / "console.log")),
                results=_results(_bytes(folder / "results")),
                sent=tuple(wire.datagrams(folder / qemu.PCAP)),
            )
        raise _lost(folder, keep, why or "it ended without a status")


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _release(folder: Path) -> None:
    """Let go whoever waits for a reader of the input that will not come."""
    with suppress(OSError):
        os.close(os.open(folder / "input", os.O_RDONLY | os.O_NONBLOCK))


def _lost(folder: Path, keep: Path | None, how: str) -> KlabError:
    """The error for a guest that handed over no exit status."""
    sign = console.hopeless(console.lines(folder / "console.log"))
    last = console.tail(folder / "console.log") or tail(folder / "qemu.log")
    return KlabError(
        f"the guest was lost: {f'{sign.name}: {sign.line}' if sign else how}\nlast on its console:\n{last}",
        step=STEP,
        log=keep,
        mend=sign.mend if sign else next(mend for end, mend in MENDS.items() if how.endswith(end)),
    )
