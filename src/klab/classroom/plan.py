# SPDX-License-Identifier: GPL-3.0-or-later
"""What opening a class would make, and whether it fits: as data and as tables. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from klab.classroom import capacity, placement
from klab.classroom.model import EXISTING, Class

GIB = 1024  # MiB


def facts(class_: Class) -> dict[str, Any]:
    """The plan as data. Memory and disk in MiB, processors in cores."""
    made = placement.made(class_.state)
    crowded = capacity.crowded(class_, made)
    return {
        "class": class_.name,
        "fits": not crowded,
        "crowded": crowded,
        "seats": [
            {
                "seat": seat.name,
                "login": seat.student.login,
                "student": seat.student.name,
                "group": seat.student.group,
                "keys": len(seat.student.keys),
                "provider": seat.provider,
                "hypervisor": seat.hypervisor,
                "made": seat.name in made,
            }
            for seat in class_.seats
        ],
        "hypervisors": [
            {
                "hypervisor": load.hypervisor.name,
                "seats": load.seats,
                "carries": load.carries,
                "used": {one: load.used(one) for one in capacity.RESOURCES},
                "has": {one: getattr(load.room, one) for one in capacity.RESOURCES},
                "rest_memory": load.seats * load.cost.rest_memory,
                "cores_each": load.share,
            }
            for load in capacity.loads(class_, made)
        ],
        "left": dict(class_.left),
        "moved": dict(class_.moved),
    }


def text(class_: Class, plan: dict[str, Any]) -> str:
    """The plan for people."""
    rows = [("seat", "login", "student", "on", "by", "")]
    for one in plan["seats"]:
        where = class_.seat(one["seat"]).address if one["provider"] == EXISTING else one["hypervisor"]
        state = "is made" if one["made"] else ""
        rows.append((one["seat"], one["login"], one["student"], where, one["provider"], state))
    parts = [table(rows)]
    if plan["hypervisors"]:
        parts.append(
            table(
                [("hypervisor", "seats", "carries", "memory MiB", "disk GiB", "cores at rest"), *_loads(plan)]
            )
        )
    return "\n\n".join([*parts, "\n".join(_notes(class_, plan))])


def _loads(plan: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in plan["hypervisors"]:
        used, has = one["used"], one["has"]
        yield (
            one["hypervisor"],
            str(one["seats"]),
            str(one["carries"]),
            f"{used['memory']:.0f} of {has['memory']:.0f}",
            f"{used['disk'] / GIB:.1f} of {has['disk'] / GIB:.1f}",
            f"{used['cpus']:.2f} of {has['cpus']:g}",
        )


def _notes(class_: Class, plan: dict[str, Any]) -> Iterator[str]:
    """What a table does not show, and the verdict, last."""
    virtual = sum(one["provider"] != EXISTING for one in plan["seats"])
    size = f", {virtual} of them made here, of {class_.memory} MiB and {class_.cpus} CPU" if virtual else ""
    yield f"class {class_.name}: {len(class_.seats)} seats{size}; flavour {class_.flavour}"
    for one in plan["hypervisors"]:
        if one["seats"]:
            each = min(one["cores_each"], class_.cpus)
            rest = one["rest_memory"]
            yield f"{one['hypervisor']}: at rest {rest:.0f} MiB; when all compute, each has {each:.2g} cores"
    for name, hypervisor in plan["moved"].items():
        yield f"{name} was on {hypervisor}, which no longer holds it: what was done there is not moved"
    for name, hypervisor in plan["left"].items():
        yield f"{name} is no longer in the roster and is kept{f', on {hypervisor}' if hypervisor else ''}"
    for deed, what in (("install", "installed"), ("boot", "installed and started")):
        if given := [seat.name for seat in class_.seats if seat.kernel == deed]:
            yield f"the kernel of flavour {class_.flavour} is {what} on {', '.join(given)}"
    if keyless := [one["login"] for one in plan["seats"] if not one["keys"]]:
        yield f"without a key, so that only the teacher's opens the seat: {', '.join(keyless)}"
    yield from plan["crowded"]
    yield "it fits" if plan["fits"] else "it does not fit"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
