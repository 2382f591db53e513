# SPDX-License-Identifier: GPL-3.0-or-later
"""The computers that hold a class's seats, before those are made: reached, given klab, able to run machines.

One that is not ready costs its own seats, and stops no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from klab import accel, lock
from klab.classroom import parallel, reach
from klab.classroom.model import LIBVIRT, Class, Hypervisor, Seat
from klab.errors import KlabError
from klab.machine import argv, libvirt, model
from klab.paths import state_dir
from klab.spread import lay, pack
from klab.spread.pack import Pack
from klab.spread.there import There


@dataclass
class Looked:
    """How they are. leads: by hypervisor the seat that stands for its computer, on which one template serves
    both providers; errors, absent: of those that are not ready, and (check only) that would be given klab
    first; host_keys: by seat, the file on another computer; changed: klab was laid on one."""

    leads: dict[str, str] = field(default_factory=dict)
    errors: dict[str, KlabError] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    host_keys: dict[str, str] = field(default_factory=dict)
    changed: bool = False


def there(hypervisor: Hypervisor) -> There | None:
    """How another computer is reached; None for this one."""
    by = hypervisor
    return There(by.name, by.address, by.user, by.port) if by.address else None


def template(class_: Class) -> str:
    """The machine from whose ready point the seats of a computer go on."""
    return f"{class_.name}-template"


def look(class_: Class, seats: Iterable[Seat], *, check: bool = False) -> Looked:
    """See to the hypervisors of these seats, all at once. check: lay nothing."""
    mine = [seat for seat in seats if seat.hypervisor]
    names = {seat.hypervisor for seat in mine}
    wanted = [one for one in class_.hypervisors if one.name in names]
    found = Looked(leads=_leads(class_, mine))
    packed = pack.make() if any(one.address for one in wanted) else None

    def one(hypervisor: Hypervisor) -> None:
        other = there(hypervisor)
        if other and packed:
            changed = _klab(other, packed, check=check)
            found.changed |= changed
            if changed and check:
                found.absent.append(hypervisor.name)
                return
        _able(class_, hypervisor, other)
        if other and not check:
            held = [seat.name for seat in mine if seat.hypervisor == hypervisor.name]
            keys = {name: class_.seat_dir(name) / reach.HOST for name in held}
            found.host_keys |= lay.keys(other, class_.name, keys)

    answers = parallel.over(wanted, one)
    found.errors = {name: error for name, error in answers.items() if isinstance(error, KlabError)}
    return found


def _leads(class_: Class, seats: Sequence[Seat]) -> dict[str, str]:
    by_address: dict[str, str] = {}
    return {
        seat.hypervisor: by_address.setdefault(class_.hypervisor(seat.hypervisor).address, seat.name)
        for seat in seats
    }


def _klab(other: There, packed: Pack, *, check: bool) -> bool:
    """Give it the klab of this checkout; whether it had another one, or none."""
    with lock.held(state_dir() / "locks" / f"lay-{other.address}", f"klab on {other.name}", wait=True):
        if lay.look(other).klab == packed.digest:
            return False
        if not check:
            lay.lay(other, packed)
    return True


def _able(class_: Class, hypervisor: Hypervisor, other: There | None) -> None:
    """Raise KlabError when it could not run the seats."""
    like = template(class_)
    if other:
        other.klab(["vm", "qemu", "--like", like])
        if hypervisor.provider == LIBVIRT:
            other.klab(["vm", "libvirt", *(["--uri", hypervisor.uri] if hypervisor.uri else [])])
        return
    argv.check(model.find(like))
    verdict = accel.probe()
    if hypervisor.provider == LIBVIRT:
        libvirt.check(hypervisor.uri or libvirt.default_uri(), verdict.accel)
