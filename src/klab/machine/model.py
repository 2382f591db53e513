# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about a machine: one folder, one machine.json, fixed file names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from klab import lock, sockets
from klab.digest import short
from klab.errors import KlabError
from klab.machine.ports import LOOPBACK
from klab.paths import state_dir

QEMU, LIBVIRT = "qemu", "libvirt"  # who runs a machine's QEMU: klab itself, or libvirt's daemon
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")  # a host name (RFC 1123), short enough for sockets
# A UNIX socket's path has at most 107 bytes, and ssh appends 17 to its ControlPath.
SOCKET_ROOM = 80


def machines_dir() -> Path:
    """The folder that holds one folder per machine."""
    return state_dir() / "machines"


class Reachable(Protocol):
    """What the labs' verbs need of a machine, whatever provides it: a name, and where its files lie here."""

    @property
    def name(self) -> str:
        """Its name in ssh_config."""

    @property
    def ssh_config(self) -> Path:
        """Makes `ssh -F <this> <name>` work."""

    @property
    def console(self) -> Path:
        """What its kernel printed, where somebody keeps that."""

    def file(self, name: str) -> Path:
        """A file of the record of its labs, by its fixed name."""


@dataclass
class Machine:
    """A machine's record. Sizes in MiB; ports on 127.0.0.1, that of ssh at `listen`.

    provider: qemu or libvirt; uri: of libvirt's daemon; limits: what that limits of it (libvirt.py),
    unlimited: and why not more.

    kernel: digest, release, cmdline, flavour of the last good kernel, which it boots.
    home: the same of the kernel it was made with, to which its ready snapshot belongs.
    like: the machine from whose ready point it goes on, so that it is told who it is each time; authorized:
    public keys that log in besides klab's own. internet: whether it reaches anything but klab.
    image: digest. ready: when (epoch seconds) that snapshot was taken, or None.
    """

    name: str
    uuid: str
    machine_type: str  # versioned, so that snapshots outlive a QEMU upgrade
    memory: int
    cpus: int
    ssh_port: int
    gdb_port: int
    accel: str
    accel_reason: str
    kernel: dict[str, str] = field(default_factory=dict)
    home: dict[str, str] = field(default_factory=dict)
    image: dict[str, str] = field(default_factory=dict)
    fixed_port: bool = False  # the ssh port was asked for by number
    created: int = 0
    ready: int | None = None
    stopped: bool = False  # `stop` kept memory and devices: the next start goes on with them
    like: str = ""
    begun: bool = False  # one that is `like` another was told who it is: from then on its disk holds work
    authorized: list[str] = field(default_factory=list)
    internet: bool = True
    provider: str = QEMU
    uri: str = ""
    listen: str = LOOPBACK
    limits: str = ""
    unlimited: str = ""
    hardware: int = 1  # generation of its virtual devices (argv.py): its snapshots fit no other

    def __post_init__(self) -> None:
        self.home = self.home or dict(self.kernel)

    @property
    def dir(self) -> Path:
        """The machine's folder."""
        return machines_dir() / self.name

    def boot_dir_of(self, digest: str) -> Path:
        """Where the bzImage (and initrd) of a kernel lie; in the folder itself those of `home`."""
        return self.dir if digest == self.home.get("digest", "") else self.dir / "kernels" / short(digest)

    @property
    def boot_dir(self) -> Path:
        """Where those of its kernel lie."""
        return self.boot_dir_of(self.kernel.get("digest", ""))

    @property
    def switched(self) -> bool:
        """Whether it boots otherwise than it was made."""
        return self.kernel != self.home

    def file(self, name: str) -> Path:
        """A file in the machine's folder, by its fixed name."""
        return self.dir / name

    @property
    def disk(self) -> Path:
        """The qcow2 overlay: all that the machine ever wrote, and its snapshots."""
        return self.dir / "disk.qcow2"

    @property
    def console(self) -> Path:
        """Everything the guest printed on its serial console, all boots."""
        return self.dir / "console.log"

    @property
    def log(self) -> Path:
        """What QEMU itself said."""
        return self.dir / "qemu.log"

    @property
    def pid_file(self) -> Path:
        """Written by QEMU; believed only after a look at the process."""
        return self.dir / "qemu.pid"

    @property
    def ssh_config(self) -> Path:
        """Makes `ssh -F <this> <name>` work."""
        return self.dir / "ssh_config"

    def socket(self, name: str) -> Path:
        """The path of a socket: in the machine's folder when it is short enough."""
        if len(str(self.dir)) + len(name) < SOCKET_ROOM:
            return self.dir / name
        return sockets.folder() / f"{self.uuid[:8]}-{name}"

    def save(self) -> None:
        """Write machine.json; a reader sees the old or the new one, never half."""
        draft = self.file("machine.json.new")
        draft.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")
        draft.replace(self.file("machine.json"))


def check_name(name: str) -> str:
    """The name itself. Raises KlabError when it cannot be a host name."""
    if not NAME.fullmatch(name):
        raise KlabError(
            f"{name!r} cannot name a machine",
            step="vm",
            mend="use lower-case letters, digits and hyphens, a letter first, at most 31",
        )
    return name


def find(name: str) -> Machine | None:
    """The machine's record, or None when there is no (whole) machine of that name."""
    path = machines_dir() / check_name(name) / "machine.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        return Machine(**{f.name: record[f.name] for f in fields(Machine) if f.name in record})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise KlabError(
            f"the record of {name} cannot be read: {error}",
            step="vm",
            machine=name,
            log=path,
            mend=f"klab vm destroy --name {name} --yes, then create it again",
        ) from None


def get(name: str) -> Machine:
    """The machine's record. Raises KlabError when there is none."""
    if machine := find(name):
        return machine
    known = ", ".join(m.name for m in everyone()) or "none"
    raise KlabError(
        f"there is no machine {name} (there are: {known})",
        step="vm",
        machine=name,
        mend=f"make lab, or klab vm create --name {name} --kernel … --image …",
    )


def everyone() -> list[Machine]:
    """All machines of this user, by name."""
    names = sorted(path.parent.name for path in machines_dir().glob("*/machine.json"))
    return [machine for name in names if (machine := find(name))]


def made_of() -> set[str]:
    """Digests of the images and kernels that machines are made of: no policy removes them."""
    parts = [part for machine in everyone() for part in (machine.image, machine.kernel, machine.home)]
    return {part["digest"] for part in parts if "digest" in part}


@contextmanager
def locked(name: str, *, wait: bool = False) -> Iterator[None]:
    """Be the only run that changes this machine; wait: until the one that does has ended."""
    with lock.held(machines_dir() / f"{check_name(name)}.lock", f"machine {name}", wait=wait):
        yield
