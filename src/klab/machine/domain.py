# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as a domain of libvirt: its description, in XML.

libvirt knows what it can say of a machine: size, kernel, disk, console, limits. The rest are
words for QEMU: a network that lets nobody in, memory that is a ready point's, klab's monitor.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from klab import accel
from klab.machine import argv, rest
from klab.machine.model import Machine
from klab.paths import cache_dir, data_file, state_dir

KIND = {"kvm": "kvm", "tcg": "qemu"}
CPU_MODE = {"host": "host-passthrough", "max": "maximum"}
# Around the random numbers, and behind the disk: in the order of argv.py.
NET, PORTS = (f",bus=pcie.0,addr={slot:#x}" for slot in (2, 4))

# What QEMU takes besides the guest's memory and its translated code, in MiB: 70 measured
# (data/seat-cost.yml), and files that it reads count, too. Whoever meets the limit is ended.
ROOM = 256
PERIOD_US = 100_000


def name(machine: Machine) -> str:
    """The domain's name, as `virsh list` shows it."""
    return f"klab-{machine.name}"


def emulator() -> str:
    """The path of the QEMU that klab itself would start, or its name where there is none."""
    return shutil.which(accel.QEMU) or accel.QEMU


def _calls(machine: Machine) -> str:
    """What answers the student's `klab`: libvirt's QEMU has a home of its own, so ours is told."""
    place = {"HOME": Path.home(), "KLAB_STATE": state_dir(), "KLAB_CACHE": cache_dir()}
    return shlex.join(["env", *(f"{key}={value}" for key, value in place.items()), *argv.desk(machine)])


def _words(machine: Machine, *, incoming: bool) -> list[str]:
    words = ["-bios", "qboot.rom", *argv.network(machine, calls=_calls(machine), at=NET)]
    # Files that libvirt opens for QEMU become its daemon's own, which klab may not read.
    words += ["-device", f"virtio-serial-pci{PORTS}", *argv.ports(machine)]
    words += argv.edu() + argv.control(machine)
    if incoming:
        memory = (
            f"mem-path={argv.named(machine.file(rest.MEMORY))},share=off,id=memory,size={machine.memory}M"
        )
        words += ["-object", f"memory-backend-file,{memory}", "-machine", "memory-backend=memory"]
        words += ["-incoming", "defer"]
    return words


def xml(machine: Machine, *, limits: str, owner: str, unconfined: str, incoming: bool = False) -> str:
    """The description of the machine, which boots; incoming: it waits to be told of its ready point.

    limits: in words, memory and cpus among them or not. owner: as whom its QEMU runs, or "" for
    libvirt's choice. unconfined: a security model that would keep it from the
    machine's folder, or "".
    """
    import jinja2  # noqa: PLC0415 - a tenth of a second that machines without libvirt do without

    model, *features = accel.CPU[machine.accel].split(",")
    boot, translated = machine.boot_dir, argv.translated(machine)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_file("domain.xml.j2").parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("domain.xml.j2").render(
        machine=machine,
        name=name(machine),
        kind=KIND[machine.accel],
        limit_mib=machine.memory + translated + ROOM if "memory" in limits else 0,
        quota_us=machine.cpus * PERIOD_US if "cpus" in limits else 0,
        period_us=PERIOD_US,
        credentials=sorted(machine.file("credentials").glob("*")),
        kernel=boot / "bzImage",
        initrd=boot / "initrd" if (boot / "initrd").exists() else "",
        cmdline=argv.cmdline(machine),
        translated_mib=translated,
        cpu_mode=CPU_MODE[model],
        without=[feature.removesuffix("=off") for feature in features],
        emulator=emulator(),
        owner=owner,
        unconfined=unconfined,
        words=_words(machine, incoming=incoming),
    )


def ourselves() -> str:
    """The user and group of this process, as libvirt writes them: its QEMU can do what klab's can."""
    return f"+{os.getuid()}:+{os.getgid()}"
