# SPDX-License-Identifier: GPL-3.0-or-later
"""What state a machine is in, as facts and as a table."""

from __future__ import annotations

from typing import Any

from klab.digest import short
from klab.machine import model, process, rest, ssh
from klab.machine.model import Machine

ABSENT, OFF, RUNNING, READY = "absent", "off", "running", "ready"


def running(machine: Machine) -> bool:
    """Whether the machine's QEMU lives."""
    return process.pid_of(machine) is not None


def of(machine: Machine) -> str:
    """off; running; ready, which is running and with a snapshot to go back to."""
    if not running(machine):
        return OFF
    return READY if machine.ready else RUNNING


def of_name(name: str) -> str:
    """The state of a machine that may be absent."""
    machine = model.find(name)
    return of(machine) if machine else ABSENT


def facts(machine: Machine) -> dict[str, Any]:
    """What playbooks, tests and reports want to know of a machine."""
    return {
        "name": machine.name,
        "state": of(machine),
        "provider": machine.provider,
        "accel": machine.accel,
        "accel_reason": machine.accel_reason,
        "memory": machine.memory,
        "cpus": machine.cpus,
        "kernel": machine.kernel,
        "image": machine.image,
        "ssh": ssh.line(machine),
        "ssh_config": str(machine.ssh_config),
        "ssh_port": machine.ssh_port,
        "address": machine.listen,
        "gdb_port": machine.gdb_port,
        "console": str(machine.console),
        "qmp": str(machine.socket("qmp.sock")),
        "log": str(machine.log),
        "dir": str(machine.dir),
        "disk_bytes": rest.used_bytes(machine),
        "pid": process.pid_of(machine),
        "ready_at": machine.ready,
    }


def table(machines: list[Machine]) -> str:
    """One line per machine, for people."""
    if not machines:
        return "there is no machine; make lab makes one"
    rows = [("machine", "state", "kernel", "accel", "disk MiB", "log in with")]
    for machine in machines:
        kernel = machine.kernel.get("release") or short(machine.kernel.get("digest", ""))
        size = str(rest.used_bytes(machine) >> 20)
        rows.append((machine.name, of(machine), kernel, machine.accel, size, ssh.line(machine)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )
