# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one command on a kernel in a throw-away guest, with its exact exit status."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from klab import accel
from klab.errors import KlabError
from klab.guest import initramfs
from klab.machine import argv, console
from klab.run import tail

POLL_S = 0.01


@dataclass(frozen=True)
class Ran:
    """A command that ended in a guest: its exit status, its output, wall seconds in all.

    console: the lines that kernel and init wrote.
    """

    status: int
    output: bytes
    wall_s: float
    console: tuple[str, ...] = ()


def _words(
    kernel: Path, folder: Path, *, which: str, memory: int, cpus: int, cmdline: str, serial: bool
) -> list[str]:
    """QEMU's words; the guest has no disk and no network. serial: it has a second UART, ttyS1."""
    line = f"console=ttyS0 loglevel=4 panic=-1 {cmdline}"
    if which == "tcg":
        line = f"{line} {' '.join(argv.EMULATED)}"
    words = [accel.QEMU, "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"]
    words += ["-machine", "q35", "-accel", argv.ACCEL[which], "-cpu", accel.CPU[which]]
    words += ["-m", str(memory), "-smp", str(cpus), "-bios", "qboot.rom"]
    words += ["-kernel", str(kernel), "-initrd", f"{folder}/initrd", "-append", line]
    words += ["-chardev", f"file,id=console,path={folder}/console.log", "-serial", "chardev:console"]
    if serial:
        words += ["-chardev", f"socket,id=serial,path={folder}/serial,server=on,wait=off"]
        words += ["-serial", "chardev:serial"]
    words += ["-device", "virtio-serial-pci"]
    for number, name in ((1, "output"), (2, "status")):
        words += ["-chardev", f"file,id={name},path={folder}/{name}"]
        words += ["-device", f"virtserialport,nr={number},chardev={name},name=klab.{name}"]
    return words


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
) -> Ran:
    """Boot `kernel`, run `command` (shell words) there, return when the guest has gone.

    which: the accelerator. memory in MiB. files: more of them in the guest (initramfs.Files).
    keep: where the console is kept, whatever happens. on_output sees output as it comes;
    on_serial runs beside the guest with the socket of its second UART, until that closes.
    Raises KlabError with the last lines of the console when the guest panics, hangs or ends
    without a status.
    """
    base = initramfs.ensure()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="klab-guest-") as name:
        folder = Path(name)
        script = shlex.join(command) if len(command) > 1 else command[0]
        overlay = {**(files or {}), "klab/command": (initramfs.PROGRAM, f"{script}\n".encode())}
        (folder / "initrd").write_bytes(base.read_bytes() + initramfs.archive(overlay))
        words = _words(
            kernel, folder, which=which, memory=memory, cpus=cpus, cmdline=cmdline, serial=bool(on_serial)
        )
        try:
            with (folder / "qemu.log").open("wb") as log:
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        except OSError as error:
            raise KlabError(
                f"cannot run {words[0]}: {error.strerror}", step="guest: run", mend="klab doctor"
            ) from None
        seen = 0
        beside = Thread(target=on_serial, args=(folder / "serial",), daemon=True) if on_serial else None
        try:
            if beside:
                beside.start()
            while True:
                ended = process.poll() is not None
                late = time.monotonic() - began > deadline_s
                output = (folder / "output").read_bytes() if (folder / "output").exists() else b""
                if on_output and len(output) > seen:
                    on_output(output[seen:])
                seen = len(output)
                if ended or late:
                    break
                time.sleep(POLL_S)
        finally:
            process.kill()
            process.wait()
            if beside:
                beside.join(timeout=5)
            if keep and (folder / "console.log").exists():
                keep.parent.mkdir(parents=True, exist_ok=True)
                keep.write_bytes((folder / "console.log").read_bytes())
        status = (folder / "status").read_text().strip() if (folder / "status").exists() else ""
        if status.isdigit():
            said = tuple(console.lines(folder / "console.log"))
            return Ran(int(status), output, round(time.monotonic() - began, 2), said)
        raise _lost(folder, keep, f"{deadline_s:g} s passed" if late else "it ended without a status")


def _lost(folder: Path, keep: Path | None, how: str) -> KlabError:
    """The error for a guest that handed over no exit status."""
    sign = console.hopeless(console.lines(folder / "console.log"))
    last = console.tail(folder / "console.log") or tail(folder / "qemu.log")
    return KlabError(
        f"the guest was lost: {f'{sign.name}: {sign.line}' if sign else how}\nlast on its console:\n{last}",
        step="guest: run",
        log=keep,
        mend=sign.mend if sign else "give it more time (--timeout), or read the console",
    )
