# SPDX-License-Identifier: GPL-3.0-or-later
"""How many seats a hypervisor carries: what was measured of a seat, against what there is.

A class fits when all its students can work at once. Processors are another matter: they
are shared, so seats must fit at rest, and what each gets when all compute is told.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from klab.classroom.model import Class, Hypervisor
from klab.errors import KlabError
from klab.needs import existing
from klab.paths import data_file, state_dir

MIB_PER_GIB = 1024
RESOURCES = ("memory", "disk", "cpus")


@dataclass(frozen=True)
class Cost:
    """What a seat takes of its hypervisor. Memory and disk in MiB, processors in cores.

    memory, disk: while its student works and has a lab checked beside it; rest_memory, cpus:
    when there is nothing to do.
    """

    memory: float
    rest_memory: float
    disk: float
    cpus: float


@dataclass(frozen=True)
class Room:
    """What a hypervisor has for seats. memory, disk: MiB; cpus: cores."""

    memory: float
    disk: float
    cpus: float


@dataclass(frozen=True)
class Load:
    """A hypervisor with the seats it is to hold. carries: how many it could."""

    hypervisor: Hypervisor
    seats: int
    cost: Cost
    room: Room
    carries: int

    def used(self, resource: str) -> float:
        """What the seats take of a resource: MiB, or cores at rest."""
        return self.seats * float(getattr(self.cost, resource))

    @property
    def short(self) -> list[str]:
        """The resources that there is too little of."""
        return [one for one in RESOURCES if self.used(one) > getattr(self.room, one)]

    @property
    def share(self) -> float:
        """Cores for each seat when all compute at once."""
        return self.room.cpus / self.seats if self.seats else self.room.cpus


@cache
def measured() -> dict[str, Any]:
    """data/seat-cost.yml: what was measured, and what is kept for the host itself."""
    return dict(yaml.safe_load(data_file("seat-cost.yml").read_text()))


def cost(memory: int) -> Cost:
    """What a seat of `memory` MiB takes.

    Of a size that was not measured: as the next smaller one (else the smallest), and all
    that it has more, which it may come to use.
    """
    rows = sorted(measured()["seats"], key=lambda row: int(row["memory"]))
    row = ([one for one in rows if one["memory"] <= memory] or rows[:1])[-1]
    more = max(0, memory - row["memory"])
    return Cost(row["lab_mib"] + row["check_mib"] + more, row["rest_mib"], row["disk_mib"], row["rest_cpus"])


def _meminfo() -> dict[str, int]:
    """This computer's memory by /proc/meminfo's names, in MiB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) // 1024 for name, _, rest in (line.partition(":") for line in lines)}


def here() -> Room:
    """What this computer has for seats: all but what data/seat-cost.yml keeps for the host."""
    kept = measured()["host"]
    info = os.statvfs(existing(state_dir()))
    disk = info.f_bavail * info.f_frsize / (1 << 20)
    return Room(
        max(0.0, _meminfo()["MemTotal"] - kept["memory_mib"]),
        max(0.0, disk - kept["disk_mib"]),
        len(os.sched_getaffinity(0)),
    )


def rooms(
    hypervisors: Sequence[Hypervisor], memory: int, at: Mapping[str, str], made: Iterable[str]
) -> dict[str, Room]:
    """What each hypervisor has: as its definition says, else its part of this computer.

    at: the hypervisor of each seat; made: seats that are there, whose disk is written already
    and so no longer free. What the definition leaves open is parted evenly.
    """
    mine, total = [one for one in hypervisors if not one.address], here()
    there = Counter(at[name] for name in made if name in at)
    found = {}
    for one in hypervisors:
        parts = {}
        for resource in RESOURCES:
            said = getattr(one, resource)
            if said is None:
                told = [h for h in mine if getattr(h, resource) is not None]
                taken = sum(_mib(h, resource) for h in told)
                parts[resource] = max(0.0, getattr(total, resource) - taken) / (len(mine) - len(told))
                if resource == "disk":
                    parts[resource] += there[one.name] * cost(memory).disk
            else:
                parts[resource] = _mib(one, resource)
        if one.address:  # this computer's cache has the image already, or preflight counts it
            parts["disk"] = max(0.0, parts["disk"] - measured()["once"]["disk_mib"])
        found[one.name] = Room(**parts)
    return found


def _mib(hypervisor: Hypervisor, resource: str) -> float:
    """A resource of a definition, disk in MiB."""
    return float(getattr(hypervisor, resource)) * (MIB_PER_GIB if resource == "disk" else 1)


def carried(room: Room, each: Cost) -> int:
    """How many seats there is room for."""
    return int(min(getattr(room, one) / getattr(each, one) for one in RESOURCES))


def carries(
    hypervisors: Sequence[Hypervisor], memory: int, at: Mapping[str, str], made: Iterable[str]
) -> dict[str, float]:
    """How many seats of `memory` MiB each hypervisor could hold; arguments as of `rooms`."""
    each = cost(memory)
    return {name: carried(room, each) for name, room in rooms(hypervisors, memory, at, made).items()}


def loads(class_: Class, made: Iterable[str]) -> list[Load]:
    """Each hypervisor of the class and what it is to hold; seats that were left behind count."""
    at = {seat.name: seat.hypervisor for seat in class_.seats if seat.hypervisor} | dict(class_.left)
    counts, each = Counter(at.values()), cost(class_.memory)
    found = rooms(class_.hypervisors, class_.memory, at, made)
    return [
        Load(one, counts[one.name], each, found[one.name], carried(found[one.name], each))
        for one in class_.hypervisors
    ]


def crowded(class_: Class, made: Iterable[str]) -> list[str]:
    """Why the class does not fit, a sentence for each hypervisor with too little, with numbers."""
    held = set(made)
    sentences = [_crowded(load) for load in loads(class_, held) if load.short]
    new = [seat for seat in class_.seats if _is_here(class_, seat.hypervisor) and seat.name not in held]
    free, wanted = _meminfo()["MemAvailable"], len(new) * cost(class_.memory).memory
    if wanted > free and not sentences:
        sentences.append(
            f"this computer has {free} MiB of memory free now, and {len(new)} more seats take {wanted:.0f}"
        )
    return sentences


def _is_here(class_: Class, hypervisor: str) -> bool:
    return bool(hypervisor) and not class_.hypervisor(hypervisor).address


def _crowded(load: Load) -> str:
    units = {"memory": "MiB of memory", "disk": "MiB of disk", "cpus": "cores at rest"}
    short = [
        f"{load.used(one):.6g} {units[one]} where there are {getattr(load.room, one):.6g}"
        for one in load.short
    ]
    return (
        f"{load.hypervisor.name} carries {load.carries} seats, not {load.seats}:"
        f" they take {' and '.join(short)} ({load.hypervisor.place})"
    )


def check(class_: Class, made: Iterable[str]) -> None:
    """Raise KlabError when the class does not fit, before anything is made."""
    if sentences := crowded(class_, made):
        raise KlabError(
            "\n".join(sentences),
            step="class: capacity",
            mend=f"fewer or smaller seats, or another hypervisor, in {class_.folder}/klab.yml",
        )
