# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP ports, on the loopback above all: which is free, and who sits on one that is not."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Container
from pathlib import Path

from klab.errors import KlabError

LOOPBACK = "127.0.0.1"
LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
SPAN = 500  # how many ports above the base are tried


def check(listen: str) -> None:
    """Raise KlabError for an address at which QEMU's user network cannot listen."""
    try:
        ipaddress.IPv4Address(listen)
    except ValueError:
        raise KlabError(
            f"{listen} is no IPv4 address", step="vm: ports", mend="ip -4 address shows this computer's"
        ) from None


def free(port: int, listen: str = LOOPBACK) -> bool:
    """Whether QEMU could listen on the port now, at the loopback and at another address.

    Raises KlabError when that address is none of this computer.
    """
    return all(_free(port, address) for address in {LOOPBACK, listen})


def _free(port: int, address: str) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
            trial.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise KlabError(
                f"nothing can listen at {address}: {error.strerror or error}",
                step="vm: ports",
                mend="name an IPv4 address that this computer has (ip -4 address)",
            ) from None
    return True


def pick(base: int, taken: Container[int], listen: str = LOOPBACK) -> int:
    """The first free port from `base` on that no machine claims.

    Raises KlabError when there is none among SPAN.
    """
    for port in range(base, min(base + SPAN, 65536)):
        if port not in taken and free(port, listen):
            return port
    raise KlabError(
        f"no free port on {LOOPBACK} from {base} to {base + SPAN - 1}",
        step="vm: ports",
        mend="choose another base port",
    )


def _inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def holder(port: int) -> str:
    """Who listens on the port: `pid 123 (nginx)`, or `another user's process`."""
    wanted = _inodes(port)
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in wanted:
                process = descriptor.parents[1]
                return f"pid {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:
            continue  # gone meanwhile, or not ours to look at
    return "another user's process" if wanted else "an unknown process"


def require(port: int, purpose: str, machine: str = "", listen: str = LOOPBACK) -> None:
    """Raise KlabError, naming the holder, unless the port is free."""
    if not free(port, listen):
        who = holder(port)
        raise KlabError(
            f"port {port} on {LOOPBACK}, wanted for {purpose}, is held by {who}",
            step="vm: ports",
            machine=machine,
            mend="end that process, or choose another port (vm_ssh_port)",
        )
