# SPDX-License-Identifier: GPL-3.0-or-later
"""Many machines of one: each a thin layer over a template's ready point, from which it goes on."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path

from klab.errors import KlabError
from klab.machine import disk, keys, libvirt, lifecycle, model, ports, rest
from klab.machine.model import Machine
from klab.machine.parts import Seat


def create(name: str, template: Machine, seat: Seat) -> Machine:
    """Make a machine that is off, and goes on from the template's ready point as one of its own.

    It shares the template's files, and keeps them when the template goes. Raises KlabError.
    """
    if not template.ready:
        raise KlabError(
            f"{template.name} has no ready point that others could go on from",
            step="vm: create",
            machine=name,
            mend=f"klab vm ready --name {template.name}",
        )
    if seat.provider == model.LIBVIRT:
        libvirt.check(seat.uri, template.accel)
    taken = lifecycle.taken(name)
    machine = replace(
        template,
        name=model.check_name(name),
        uuid=str(uuid.uuid4()),
        ssh_port=seat.ssh_port or ports.pick(seat.port_base, taken, seat.listen),
        gdb_port=ports.pick(seat.gdb_base, taken),
        fixed_port=bool(seat.ssh_port),
        kernel=dict(template.home),
        created=int(time.time()),
        stopped=False,
        like=template.name,
        authorized=list(seat.authorized),
        internet=seat.internet,
        provider=seat.provider,
        uri=seat.uri,
        listen=seat.listen,
    )
    machine.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    disk.adopt(template.file(disk.BASE), machine.file(disk.BASE))
    rest.adopt(machine, template)
    for part in ("bzImage", "initrd"):
        if (template.dir / part).exists():
            disk.adopt(template.dir / part, machine.file(part))
    if seat.host_key:
        for suffix in ("", ".pub"):
            content = Path(f"{seat.host_key}{suffix}").read_text()
            machine.file(f"{keys.HOST}{suffix}").touch(mode=0o600)
            machine.file(f"{keys.HOST}{suffix}").write_text(content)
    keys.write(machine)
    rest.back(machine)
    machine.save()  # last: only now does the machine exist
    return machine


def up(machine: Machine, deadline_s: float) -> bool:
    """Bring a seat up, the first time from the ready point; whether anything changed."""
    if machine.begun:
        return lifecycle.start(machine, deadline_s=deadline_s)
    return lifecycle.reset(machine, deadline_s)
