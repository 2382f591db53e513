# SPDX-License-Identifier: GPL-3.0-or-later
"""The class as data: students, the computers that hold their machines, and the seats. Frozen once loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from klab.errors import KlabError
from klab.paths import state_dir

QEMU, LIBVIRT, EXISTING = "qemu", "libvirt", "existing"
OWN = "own"
LOOPBACK = "127.0.0.1"
ACCOUNT = "student"  # who klab logs in as on a machine that it makes


@dataclass(frozen=True)
class Student:
    """A line of the roster.

    keys: public keys, one line each, as in authorized_keys; none: the teacher's key alone
    logs in. seat: without the class's name. path: the id of a learning path, or "". place:
    where it is written, `roster.csv:3`, for messages.
    """

    login: str
    name: str
    keys: tuple[str, ...]
    seat: str
    group: str = ""
    path: str = ""
    place: str = ""


@dataclass(frozen=True)
class Hypervisor:
    """A computer that holds seats; two of them may be the same computer, with other providers.

    address: "" is this computer. user, port: for ssh. provider: qemu or libvirt. memory: MiB,
    disk: GiB, cpus: count, of what klab may use there; None: all of this computer but what
    capacity.py keeps free. uri: libvirt's. listen: the address at which the ssh ports of its
    seats listen. place: where it is written, for messages.
    """

    name: str
    address: str = ""
    user: str = ""
    port: int = 22
    provider: str = QEMU
    memory: int | None = None
    disk: float | None = None
    cpus: int | None = None
    uri: str = ""
    listen: str = LOOPBACK
    place: str = ""


@dataclass(frozen=True)
class Seat:
    """A machine for one student.

    name: `<class>-<seat>`, a host name. provider: qemu, libvirt, or existing, which is a
    computer already. hypervisor: the name of the one that holds it, "" for an existing one.
    address, port, user: for ssh to an existing one; those of a virtual machine stand in the
    ssh_config that klab makes with it. memory: MiB; cpus: count; 0 for an existing one.
    kernel: what is done to that of an existing one: own (nothing), install, boot.
    """

    name: str
    student: Student
    provider: str
    hypervisor: str = ""
    address: str = ""
    port: int = 0
    user: str = ACCOUNT
    memory: int = 0
    cpus: int = 0
    kernel: str = OWN


@dataclass(frozen=True)
class Class:
    """A class as its teacher defined it.

    folder: of the definition. labs: selection words, as `klab start` takes them. memory: MiB
    and cpus: count of each virtual seat. internet: whether seats reach beyond this class.
    archive: an address of this computer where existing ones fetch the kernel, "" for none.
    left: seats that the roster no longer has, though they may hold work, and their hypervisors.
    moved: seats that were on another hypervisor, which is gone, and that one's name.
    """

    name: str
    folder: Path
    hypervisors: tuple[Hypervisor, ...]
    students: tuple[Student, ...]
    seats: tuple[Seat, ...]
    labs: tuple[str, ...]
    flavour: str
    memory: int
    cpus: int
    internet: bool = False
    archive: str = ""
    left: tuple[tuple[str, str], ...] = ()
    moved: tuple[tuple[str, str], ...] = ()

    @property
    def state(self) -> Path:
        """The folder of all that klab knows of the class, on this computer."""
        return classes_dir() / self.name

    def seat_dir(self, name: str) -> Path:
        """The folder of one seat's record, keys and ssh_config."""
        return self.state / "seats" / name

    def seat(self, name: str) -> Seat:
        """A seat by its name, with or without the class's. Raises KlabError when there is none."""
        for seat in self.seats:
            if name in (seat.name, seat.student.seat):
                return seat
        raise KlabError(
            f"class {self.name} has no seat {name}",
            step="class: choose a seat",
            mend=f"the seats are: {', '.join(seat.student.seat for seat in self.seats)}",
        )

    def hypervisor(self, name: str) -> Hypervisor:
        """A hypervisor by its name. Raises KlabError when there is none."""
        for hypervisor in self.hypervisors:
            if hypervisor.name == name:
                return hypervisor
        raise KlabError(
            f"class {self.name} has no hypervisor {name}",
            step="class: choose a hypervisor",
            mend=f"name it in {self.folder}/klab.yml",
        )


def classes_dir() -> Path:
    """The folder that holds one folder for each class."""
    return state_dir() / "classes"
