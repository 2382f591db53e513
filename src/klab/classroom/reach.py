# SPDX-License-Identifier: GPL-3.0-or-later
"""How this computer reaches a seat: keys, known_hosts and ssh_config, kept in the class's state folder.

One key pair opens all seats. Each virtual seat's host key is made here, too, and goes into it,
so that known_hosts is right before the first connection. The host key of a computer that is
there already is kept when it first answers, and a change of it is refused from then on.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from klab import sockets
from klab.classroom import parallel
from klab.classroom.model import EXISTING, LOOPBACK, Class, Hypervisor, Seat, classes_dir
from klab.errors import KlabError
from klab.machine import keys, model

CLIENT, HOST = "client", "host_key"
CONNECT_S = 30  # seconds in which a seat that lives has greeted, under emulation and load, too


@dataclass(frozen=True)
class Reached:
    """A seat as the labs' verbs know it. dir: its ssh_config and keys; record: where its labs are noted."""

    name: str
    dir: Path
    record: Path

    @property
    def ssh_config(self) -> Path:
        """Makes `ssh -F <this> <name>` work."""
        return self.dir / "ssh_config"

    @property
    def console(self) -> Path:
        """What its kernel printed, where a hypervisor on this computer keeps it."""
        return self.record / "console.log"

    def file(self, name: str) -> Path:
        """A file of the record of its labs, by its fixed name."""
        return self.record / name


def _reached(folder: Path) -> Reached:
    # What a student types in a machine of this computer is answered beside it, from its own folder.
    machine = model.machines_dir() / folder.name
    return Reached(folder.name, folder, machine if (machine / "machine.json").exists() else folder)


def of(class_: Class, seat: Seat) -> Reached:
    """The seat, whether or not it was made yet."""
    return at(class_, seat.name)


def at(class_: Class, name: str) -> Reached:
    """The same by its whole name, also for a seat that the roster no longer has."""
    return _reached(class_.seat_dir(name))


def named(name: str) -> model.Machine | Reached:
    """A machine or a seat of any class by its name alone. Raises KlabError when there is none."""
    found = sorted(classes_dir().glob(f"*/seats/{model.check_name(name)}/ssh_config"))
    return _reached(found[0].parent) if found else model.get(name)


def private(folder: Path) -> Path:
    """The folder, which nobody else may enter; nor what is made above it."""
    if not folder.parent.exists():
        private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def replace(path: Path, content: str | bytes, mode: int = 0o600) -> bool:
    """Write a file whole or not at all; whether that changed it."""
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=mode)
    draft.write_bytes(data)
    draft.replace(path)
    return True


def client_key(class_: Class) -> Path:
    """The key that opens all seats of the class; its public half lies beside it as .pub."""
    return keys.pair(private(class_.state) / CLIENT, f"klab@{class_.name}", class_.name)


def host_key(class_: Class, seat: Seat) -> Path:
    """The host key of a virtual seat; its public half lies beside it as .pub."""
    return keys.pair(private(class_.seat_dir(seat.name)) / HOST, seat.name, seat.name)


def write(
    class_: Class, seat: Seat, *, address: str = "", port: int = 0, user: str = ""
) -> tuple[Reached, bool]:
    """Make what is missing of a seat's keys, known_hosts and ssh_config; whether that changed anything.

    address, port: of a virtual seat, as its hypervisor sees it; else those of the definition, and
    for a machine of this computer those of its record. user: who logs in, else the seat's.
    Raises KlabError when nothing says where the seat is.
    """
    machine = model.find(seat.name) if seat.provider != EXISTING else None
    address = address or seat.address or ("127.0.0.1" if machine else "")
    port = port or seat.port or (machine.ssh_port if machine else 22)
    if not address:
        raise KlabError(
            f"nothing says where the seat {seat.name} is",
            step="class: reach a seat",
            machine=seat.name,
            mend=f"playbooks/classroom_open.yml makes it: --limit {seat.name}",
        )
    client = client_key(class_)
    folder = private(class_.seat_dir(seat.name))
    changed = False
    if seat.provider != EXISTING:
        kind, key = host_key(class_, seat).with_suffix(".pub").read_text().split()[:2]
        changed = replace(folder / "known_hosts", f"{seat.name} {kind} {key}\n")
    settings: dict[str, str | int] = {
        **keys.SETTINGS,
        "HostName": address,
        "Port": port,
        "User": user or seat.user,
        "IdentityFile": f'"{client}"',
        "HostKeyAlias": seat.name,
        "UserKnownHostsFile": f'"{folder / "known_hosts"}"',
        "ControlPath": f'"{_socket(folder)}"',
        "ConnectTimeout": CONNECT_S,
    }
    if seat.provider == EXISTING:
        settings["StrictHostKeyChecking"] = "accept-new"
    text, jump = keys.HEAD, _jump(class_, seat)
    if jump:
        settings["ProxyJump"] = seat.hypervisor
    text += keys.block(seat.name, settings) + jump
    return of(class_, seat), replace(folder / "ssh_config", text) or changed


def _socket(folder: Path) -> Path:
    """The shared connection's socket: seats' folders are often too deep for one."""
    return sockets.folder() / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}-ssh"


def hang_up(seat: Reached) -> None:
    """Close the shared connection to a seat, before its machine forgets it."""
    argv = ["ssh", "-F", str(seat.ssh_config), "-O", "exit", seat.name]
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=CONNECT_S)


def _jump(class_: Class, seat: Seat) -> str:
    """The hypervisor as ssh reaches it, where the seat is behind one: by the teacher's own keys.

    All seats share one connection to it: its sshd takes few at a time.
    """
    by = behind(class_, seat)
    if not by:
        return ""
    settings: dict[str, str | int] = {
        "HostName": by.address,
        "Port": by.port,
        "PasswordAuthentication": "no",
        "ConnectTimeout": CONNECT_S,
        "ControlMaster": "auto",
        "ControlPersist": 600,
        "ControlPath": f'"{_socket(class_.state / by.name)}"',
    }
    if by.user:
        settings["User"] = by.user
    return keys.block(by.name, settings)


def behind(class_: Class, seat: Seat) -> Hypervisor | None:
    """The other computer through which alone the seat can be reached, as its seats listen on its loopback."""
    by = class_.hypervisor(seat.hypervisor) if seat.hypervisor else None
    return by if by and by.address and by.listen == LOOPBACK else None


def ahead(class_: Class, seats: Iterable[Seat]) -> None:
    """Open the connections that seats behind hypervisors share, before many ask for them at once.

    One that fails is told by each of its seats.
    """
    by_name = {by.name: seat for seat in seats if (by := behind(class_, seat))}

    def one(seat: Seat) -> None:
        config = of(class_, seat).ssh_config
        argv = ["ssh", "-F", str(config), "-oBatchMode=yes", seat.hypervisor, "true"]
        if config.exists():
            null = subprocess.DEVNULL  # what it leaves behind would hold a pipe open
            subprocess.run(argv, stdin=null, stdout=null, stderr=null, check=False, timeout=2 * CONNECT_S)

    parallel.over(by_name.values(), one)
