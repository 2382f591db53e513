# SPDX-License-Identifier: GPL-3.0-or-later
"""The class as an inventory: groups, hosts and their variables, for the plugin of that name."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from klab.classroom.model import EXISTING, OWN, Class, Hypervisor, Seat
from klab.spread.there import PYTHON

CONTROL = "localhost"


@dataclass(frozen=True)
class Host:
    """A host, the groups it is in, and its variables."""

    name: str
    groups: tuple[str, ...]
    variables: dict[str, Any] = field(default_factory=dict)


def groups(class_: Class) -> dict[str, tuple[str, ...]]:
    """All groups and the groups that are in them."""
    kinds = ("virtual_seats", "existing_seats")
    # The last two: computers that get the class's kernel, and who turns out to have no labs.
    names = ("control", "builders", "hypervisors", *kinds, "kernel_seats", "seats_without_labs")
    mine: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    # Whom a play on seats of one kind is for: when all hosts of a play fail Ansible ends the run, and the
    # others' with it.
    for kind in (*kinds, "kernel_seats"):
        those = [seat for seat in class_.seats if kind in _kinds(seat)]
        mine[f"play_{kind}"] = ("seats",) if 0 < len(those) < len(class_.seats) else (kind,)
    mine |= {"seats": kinds, "lab_machines": ("seats",)}
    return mine | {seat.student.group: () for seat in class_.seats if seat.student.group}


def variables(class_: Class) -> dict[str, Any]:
    """What every host knows of its class, as variable klab_class."""
    return {
        "name": class_.name,
        "state": str(class_.state),
        "folder": str(class_.folder),
        "labs": list(class_.labs),
        "flavour": class_.flavour,
        "internet": class_.internet,
        "memory": class_.memory,
        "cpus": class_.cpus,
        "virtual": any(seat.provider != EXISTING for seat in class_.seats),
        "kernel": any(seat.provider != EXISTING or seat.kernel != OWN for seat in class_.seats),
        "archive": class_.archive,
        "left": dict(class_.left),
    }


def hosts(class_: Class) -> Iterator[Host]:
    """All hosts: this computer, the hypervisors, and a host for each seat, in the roster's order."""
    yield Host(CONTROL, ("control", "builders"))
    for hypervisor in class_.hypervisors:
        first = next(one for one in class_.hypervisors if one.address == hypervisor.address) is hypervisor
        yield Host(hypervisor.name, ("hypervisors",), _hypervisor(hypervisor, template=first))
    for seat in class_.seats:
        group = (seat.student.group,) if seat.student.group else ()
        yield Host(seat.name, (*_kinds(seat), *group), _seat(class_, seat))


def _kinds(seat: Seat) -> tuple[str, ...]:
    if seat.provider != EXISTING:
        return ("virtual_seats",)
    return ("existing_seats",) if seat.kernel == OWN else ("existing_seats", "kernel_seats")


def _hypervisor(hypervisor: Hypervisor, *, template: bool) -> dict[str, Any]:
    # Both providers' seats of a computer go on from one template, and only one of them makes it.
    shown: dict[str, Any] = {"klab_hypervisor": {**asdict(hypervisor), "template": template}}
    if not hypervisor.address:
        # The Python that has klab, which this is.
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        return shown if hypervisor.name == CONTROL else {**shown, **here}
    user = {"ansible_user": hypervisor.user} if hypervisor.user else {}
    return {
        **shown,
        "ansible_host": hypervisor.address,
        "ansible_port": hypervisor.port,
        "ansible_python_interpreter": PYTHON,
        **user,
    }


def _seat(class_: Class, seat: Seat) -> dict[str, Any]:
    shown: dict[str, Any] = {"klab_seat": asdict(seat)}
    if seat.provider == EXISTING:
        # Its host key is known to its teacher, who reached it before klab did.
        return {
            **shown,
            "ansible_host": seat.address,
            "ansible_port": seat.port,
            "ansible_user": seat.user,
        }
    return {
        **shown,
        "ansible_ssh_args": shlex.join(["-F", str(class_.seat_dir(seat.name) / "ssh_config")]),
        "lab_machines_hypervisor": seat.hypervisor,
        "vm_memory": seat.memory,
        "vm_cpus": seat.cpus,
    }
