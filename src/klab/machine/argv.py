# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of a machine's QEMU: the only place that knows it.

Everything the guest can see stays the same from boot to boot, or its snapshots
could not be loaded; ports and paths belong to the host and may change.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from klab import accel
from klab.errors import KlabError
from klab.machine import identity, rest, wake
from klab.machine.model import Machine
from klab.machine.ports import LOOPBACK

# Raised when a device is added; a machine keeps those it was made with. 2: the clock's port;
# 3: two edu devices; 4: memory that can be a file, a port for what the guest answers, and no
# balloon: what a guest gives back of a file would be gone for all that map it. What libvirt runs
# (data/domain.xml.j2) has the devices of the newest in the very same places.
MAPPED = HARDWARE = 4
# Slots (hexadecimal) of QEMU's educational PCI device: equal modulo 4, so that both share one interrupt line.
EDU = ("10", "14")

# Addresses of QEMU's user network (slirp). The kernel sets them itself, so nothing in
# the guest waits for a network that is always the same.
GUEST, GATEWAY, MASK = "10.0.2.15", "10.0.2.2", "255.255.255.0"
# Where the student's `klab` calls (roles/lab_machine/files/klab): QEMU starts a process of
# klab on this computer for each call, so that nothing listens here.
DESK = "10.0.2.100:2000"

ACCEL = {"kvm": "kvm", "tcg": "tcg,thread=multi"}

# What an emulated machine may keep of translated code, in MiB: a quarter of its memory, and never
# more than QEMU takes by itself, with which one of 512 MiB grows to 1.6 GiB. With 128 no work took
# longer there that was measured; with 32 it did.
QUARTER, TRANSLATED = 4, 1024

# What the place asks of a kernel; a flavour's own arguments come before.
PLACE = [
    "root=/dev/vda",
    "rw",
    "console=ttyS0",
    "net.ifnames=0",
]
# Only under emulation. The TSC is emulated and exact: neither watchdog nor calibration
# helps. Mitigations cost a thunk per indirect call and protect nothing here.
EMULATED = ["tsc=reliable", "no_timer_check", "mitigations=off"]


def _says(option: str) -> str:
    """What QEMU says to `-machine help` or `--version`. Raises KlabError when it cannot be run."""
    try:
        words = [accel.QEMU, *option.split()]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise KlabError(
            f"{accel.QEMU} cannot be run: {error}",
            step="vm: create",
            mend="apt-get install qemu-system-x86",
        ) from None


def machine_type() -> str:
    """The versioned name of today's q35. Raises KlabError when QEMU cannot say."""
    alias = re.search(r"alias of (pc-q35-[0-9.]+)", _says("-machine help"))
    return alias.group(1) if alias else "q35"


def check(template: Machine | None) -> str:
    """The version of this computer's QEMU. Raises KlabError when it cannot go on from the template."""
    known = {line.split()[0] for line in _says("-machine help").splitlines()[1:] if line.strip()}
    version = _says("--version").splitlines()[0]
    if template and template.machine_type not in known:
        raise KlabError(
            f"{version} does not have the machine {template.machine_type} that {template.name} is:"
            " this host has another QEMU than that was made with",
            step="vm: look at QEMU",
            machine=template.name,
            mend=f"install that QEMU again, or klab vm destroy --name {template.name} --yes;"
            " seats of it that are there need to be destroyed, too",
        )
    return version


def cmdline(machine: Machine) -> str:
    """The kernel command line: flavour, place, address, what emulation wants."""
    address = f"ip={GUEST}::{GATEWAY}:{MASK}:{machine.name}:eth0:off"
    words = [machine.kernel.get("cmdline", ""), *PLACE, address]
    if machine.accel == "tcg":
        words += EMULATED
    return " ".join(word for word in words if word)


def translated(machine: Machine) -> int:
    """MiB of translated code that it may keep; 0 where nothing is translated."""
    return min(machine.memory // QUARTER, TRANSLATED) if machine.accel == "tcg" else 0


def _memory(machine: Machine, *, incoming: bool) -> list[str]:
    """Where its memory lies: in a file, of which a ready point can be made, or in that of the ready point."""
    if machine.hardware < MAPPED:
        return []
    kind = "memory-backend-ram"
    if incoming:
        kind = f"memory-backend-file,mem-path={rest.MEMORY},share=off"
    elif not machine.ready:
        kind = f"memory-backend-file,mem-path={rest.DRAFT},share=on"
    return [
        "-object",
        f"{kind},id=memory,size={machine.memory}M",
        "-machine",
        "memory-backend=memory",
        *(["-incoming", "defer"] if incoming else []),
    ]


def network(machine: Machine, *, calls: str, at: str = "") -> list[str]:
    """Its network: nothing comes in but ssh, and nothing goes out but to `calls`, unless it has the Internet.

    calls: the command that QEMU starts for each call of the student's `klab`. at: where its device stands.
    """
    closed = "" if machine.internet else ",restrict=on"
    way = f"hostfwd=tcp:{machine.listen}:{machine.ssh_port}-:22"
    # Older ones boot with the address that all of QEMU's have.
    address = f",mac={identity.mac(machine)}" if machine.hardware >= MAPPED else ""
    return [
        "-netdev",
        f"user,id=net{closed},{way},guestfwd=tcp:{DESK}-cmd:{calls.replace(',', ',,')}",
        "-device",
        f"virtio-net-pci,netdev=net,romfile={address}{at}",
    ]


def desk(machine: Machine) -> list[str]:
    """The words that answer a call of the student's `klab`."""
    return [sys.executable, "-m", "klab", "desk", machine.name]


def named(path: Path) -> str:
    """A file's name as a part of a QEMU option."""
    return str(path).replace(",", ",,")


def ports(machine: Machine) -> list[str]:
    """The ports through which it is told that it wakes up, and answers."""
    words = ["-chardev", f"pipe,id=clock,path={named(machine.file(wake.FIFO))}"]
    words += ["-device", f"virtserialport,chardev=clock,name={wake.PORT}"]
    if machine.hardware >= MAPPED:
        words += ["-chardev", f"file,id=woken,path={named(machine.file(wake.ANSWERS))}"]
        words += ["-device", f"virtserialport,chardev=woken,name={wake.BACK}"]
    return words


def edu() -> list[str]:
    """The devices that labs write drivers for."""
    return [word for slot in EDU for word in ("-device", f"edu,addr={slot}")]


def control(machine: Machine) -> list[str]:
    """How klab, and gdb, talk to this QEMU."""
    return [
        "-chardev",
        f"socket,id=qmp,path={named(machine.socket('qmp.sock'))},server=on,wait=off",
        "-mon",
        "chardev=qmp,mode=control",
        "-gdb",
        f"tcp:{LOOPBACK}:{machine.gdb_port}",
    ]


def build(machine: Machine, *, loadvm: str = "", incoming: bool = False) -> list[str]:
    """QEMU's words for this machine, which boots.

    loadvm: it goes on from that snapshot. incoming: it waits to be told of its ready point.
    """
    argv = [accel.QEMU, "-name", f"klab-{machine.name}", "-uuid", machine.uuid]
    argv += ["-no-user-config", "-nodefaults", "-display", "none"]
    how = ACCEL[machine.accel]
    if size := translated(machine):
        how += f",tb-size={size}"
    argv += ["-machine", machine.machine_type, "-accel", how]
    argv += ["-cpu", accel.CPU[machine.accel], "-smp", str(machine.cpus), "-m", str(machine.memory)]
    argv += _memory(machine, incoming=incoming)
    boot = machine.boot_dir.relative_to(machine.dir)
    argv += ["-bios", "qboot.rom", "-kernel", str(boot / "bzImage"), "-append", cmdline(machine)]
    if (machine.boot_dir / "initrd").exists():
        argv += ["-initrd", str(boot / "initrd")]
    argv += [
        "-blockdev",
        "driver=qcow2,node-name=disk,discard=unmap,file.driver=file,file.filename=disk.qcow2,file.discard=unmap",
    ]
    argv += ["-device", "virtio-blk-pci,drive=disk"]
    argv += network(machine, calls=shlex.join(desk(machine)))
    argv += ["-device", "virtio-rng-pci"]
    if machine.hardware < MAPPED:
        argv += ["-device", "virtio-balloon-pci,free-page-reporting=on"]
    if machine.hardware >= 2:
        argv += ["-device", "virtio-serial-pci", *ports(machine)]
    if machine.hardware >= 3:
        argv += edu()
    console = f"socket,id=console,path={machine.socket('console.sock')},server=on,wait=off"
    argv += ["-chardev", f"{console},logfile=console.log,logappend=on", "-serial", "chardev:console"]
    argv += control(machine)
    for path in sorted(machine.file("credentials").glob("*")):
        name = f"opt/io.systemd.credentials/{path.name}"
        argv += ["-fw_cfg", f"name={name},file=credentials/{path.name}"]
    argv += ["-pidfile", "qemu.pid"]
    return argv + (["-loadvm", loadvm] if loadvm else [])
