# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP ports on the loopback: which is free, and who sits on one that is not."""

from __future__ import annotations

import errno
import socket
from collections.abc import Container
from pathlib import Path

from klab.errors import KlabError

LOOPBACK = "127.0.0.1"
LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
SPAN = 500  # how many ports above the base are tried


def free(port: int) -> bool:
    """Whether QEMU could listen on the port now."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
            trial.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def pick(base: int, taken: Container[int]) -> int:
    """The first free port from `base` on that no machine claims.

    Raises KlabError when there is none among SPAN.
    """
    for port in range(base, min(base + SPAN, 65536)):
        if port not in taken and free(port):
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


def require(port: int, purpose: str, machine: str = "") -> None:
    """Raise KlabError, naming the holder, unless the port is free."""
    if not free(port):
        who = holder(port)
        raise KlabError(
            f"port {port} on {LOOPBACK}, wanted for {purpose}, is held by {who}",
            step="vm: ports",
            machine=machine,
            mend="end that process, or choose another port (vm_ssh_port)",
        )
