# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's words for a throw-away guest: the only place that knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from klab import accel
from klab.machine import argv
from klab.paths import laid

TINY, DEBIAN = "tiny", "debian"
# Ports between guest and host, numbered as data/guest-init.sh knows them.
PORTS = {"output": 1, "status": 2, "input": 3, "results": 4}
PCAP = "net.pcap"  # all that a guest with the device `net` sends
ERST = "erst"  # the device, and the file with what a guest leaves in it for the next boot
ERST_KIB = 64
NUMA = "numa2"  # no device, but two nodes
DEVICES = {
    # A watchdog: unless it is fed, the guest is reset, which ends it.
    "wdt": ["-device", "i6300esb", "-watchdog-action", "reset"],
    # Where the kernel leaves what tools must know to read a dump of the whole guest.
    "vmcoreinfo": ["-device", "vmcoreinfo"],
    "edu2": [word for slot in argv.EDU for word in ("-device", f"edu,addr={slot}")],
    NUMA: [],
}
NAMES = sorted([*DEVICES, ERST, "net"])


@dataclass(frozen=True)
class Shape:
    """What a guest is: all that a kept one must have in common with one that goes on from it.

    memory in MiB. cmdline: more kernel arguments. disk: the lab image, for base debian.
    cpu: what its processors are beside klab's own choice, such as la57=on.
    """

    kernel: Path
    initrd: Path
    which: str
    memory: int
    cpus: int
    cmdline: str = ""
    base: str = TINY
    devices: tuple[str, ...] = ()
    disk: Path | None = None
    cpu: str = ""

    @property
    def line(self) -> str:
        """The kernel's command line."""
        words = ["console=ttyS0", "loglevel=4", "panic=-1", f"klab.base={self.base}", self.cmdline]
        if self.which == "tcg":
            words += argv.EMULATED
        return " ".join(word for word in words if word)


def _board(shape: Shape) -> list[str]:
    """What each guest has: board, processors, memory, kernel."""
    cpu = ",".join(filter(None, [accel.CPU[shape.which], shape.cpu]))
    said = [accel.QEMU, "-no-user-config", "-nodefaults", "-display", "none"]
    said += ["-machine", "q35", *_accel(shape.which), "-cpu", cpu]
    said += ["-m", str(shape.memory), "-smp", str(shape.cpus)]
    # qboot leaves the devices' addresses to the kernel, but ERST's stands in an ACPI table.
    said += [] if ERST in shape.devices else ["-bios", "qboot.rom"]
    return [*said, "-kernel", str(shape.kernel), "-initrd", str(shape.initrd)]


def _accel(which: str) -> list[str]:
    """What runs its instructions.

    Inside of an emulated machine time is counted in instructions, eight nanoseconds each: so slow a
    guest would else do nothing but answer its timer.
    """
    if which == "tcg" and laid():
        return ["-accel", "tcg,thread=single", "-icount", "shift=3"]
    return ["-accel", argv.ACCEL[which]]


def _socket(name: str, folder: Path) -> str:
    """A character device that is a socket of its name."""
    return f"socket,id={name},path={folder}/{name},server=on,wait=off"


def bare(shape: Shape, folder: Path) -> list[str]:
    """A guest with a serial line and nothing else; its command line is all the guest's own."""
    said = [*_board(shape), "-append", shape.cmdline]
    return [*said, "-chardev", f"file,id=console,path={folder}/console.log", "-serial", "chardev:console"]


def words(
    shape: Shape,
    folder: Path,
    *,
    serial: bool = False,
    debugged: bool = False,
    memory: Path | None = None,
    incoming: bool = False,
) -> list[str]:
    """The command line. folder: where console, ports and QMP's socket lie.

    serial: the second UART, ttyS1, is a socket. debugged: so are the console, which is logged all
    the same, and QEMU's gdb stub. memory: the folder whose files are the guest's memory. incoming:
    it waits for the state that belongs to that memory, of which it sees a copy of its own.
    """
    said = [*_board(shape), "-no-reboot", "-append", shape.line]
    said += _memory(shape, memory, share=not incoming)
    log = f"{folder}/console.log"
    console = f"{_socket('console', folder)},logfile={log}" if debugged else f"file,id=console,path={log}"
    said += ["-chardev", console, "-serial", "chardev:console"]
    # Always there: whether somebody listens is no matter of a kept state.
    listener = _socket("serial", folder) if serial else "null,id=serial"
    said += ["-chardev", listener, "-serial", "chardev:serial"]
    said += ["-chardev", _socket("qmp", folder), "-mon", "chardev=qmp,mode=control"]
    said += ["-chardev", _socket("gdb", folder), "-gdb", "chardev:gdb"] if debugged else []
    said += ["-device", "virtio-serial-pci"]
    for name, number in PORTS.items():
        kind = "pipe" if name == "input" else "file"
        said += ["-chardev", f"{kind},id={name},path={folder}/{name}"]
        said += ["-device", f"virtserialport,nr={number},chardev={name},name=klab.{name}"]
    if shape.disk:
        said += [
            "-blockdev",
            f"driver=raw,node-name=disk,read-only=on,file.driver=file,file.filename={shape.disk}",
        ]
        said += ["-device", "virtio-blk-pci,drive=disk"]
    for device in shape.devices:
        said += _special(device, folder) or DEVICES[device]
    return [*said, *(["-incoming", "defer"] if incoming else [])]


def _special(device: str, folder: Path) -> Sequence[str]:
    """The words of a device that depends on the guest's folder; none for others."""
    if device == "net":
        # Nobody answers there, and nothing leaves this computer: what is sent is written down.
        said = ["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net"]
        return [*said, "-object", f"filter-dump,id=sent,netdev=net,file={folder}/{PCAP}"]
    if device == ERST:
        store = f"memory-backend-file,id=erst,mem-path={folder}/{ERST},size={ERST_KIB}K,share=on"
        return ["-object", store, "-device", "acpi-erst,memdev=erst"]
    return []


def memories(shape: Shape) -> dict[str, int]:
    """The names of the guest's pieces of memory, and how large each is, in MiB."""
    nodes = ["node0", "node1"] if NUMA in shape.devices else ["memory"]
    return dict.fromkeys(nodes, shape.memory // len(nodes))


def _memory(shape: Shape, folder: Path | None, *, share: bool) -> Sequence[str]:
    """Where its memory lies, and how it is spread over nodes: half each, and processors by turns."""
    said: list[str] = []
    for name, size in memories(shape).items():
        kind = "memory-backend-ram"
        if folder:
            kind = f"memory-backend-file,mem-path={folder}/{name},share={'on' if share else 'off'}"
        said += ["-object", f"{kind},id={name},size={size}M"]
    if NUMA not in shape.devices:
        return [*said, "-machine", "memory-backend=memory"]
    for node in (0, 1):
        cpus = "".join(f",cpus={cpu}" for cpu in range(node, shape.cpus, 2))
        said += ["-numa", f"node,nodeid={node},memdev=node{node}{cpus}"]
    return [*said, "-numa", "dist,src=0,dst=1,val=20"]
