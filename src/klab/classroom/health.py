# SPDX-License-Identifier: GPL-3.0-or-later
"""How a seat is, asked in one round trip: its kernel and what that complained of, room, load, activity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from klab.classroom import ask
from klab.classroom.reach import Reached
from klab.desk.talk import CONTROL
from klab.errors import KlabError
from klab.machine import console

END = "--"  # the line between the files' times and the kernel's log
# Few programs: an emulated machine pays some 50 ms for each, a host of many light ones for all.
SCRIPT = f"""read -r release </proc/sys/kernel/osrelease; read -r up rest </proc/uptime
read -r load rest </proc/loadavg; echo "$release"; echo "$up $load"; df -Pk "$HOME"
find "$HOME/labs" -mindepth 3 -maxdepth 5 -type f -printf '%T@\\n' 2>/dev/null; echo {END}"""
LOG = "sudo -n dmesg 2>/dev/null || true"


@dataclass(frozen=True)
class Health:
    """A seat that answered. uptime: seconds; free: MiB in the student's home; active: epoch seconds of
    the newest file in ~/labs, 0 when there is none; splats: names of the kernel's complaints, or None
    when it did not let us look."""

    release: str
    uptime: float
    load: float
    free: int
    active: int
    splats: tuple[str, ...] | None

    def as_dict(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


def of(seat: Reached, deadline_s: float) -> Health:
    """Ask a seat. Raises KlabError when it does not answer within `deadline_s` seconds.

    Where this computer keeps its console, its kernel's complaints are read there: that costs the
    seat nothing, and its student cannot change it.
    """
    if not seat.console.exists():
        return parse(seat.name, ask.run(seat, f"{SCRIPT}\n{LOG}", deadline_s=deadline_s))
    found = parse(seat.name, ask.run(seat, SCRIPT, deadline_s=deadline_s))
    return replace(found, splats=_names(console.splats(console.lines(seat.console))))


def _names(found: Iterable[console.Finding]) -> tuple[str, ...]:
    return tuple(sorted({one.name for one in found}))


def parse(name: str, said: str) -> Health:
    """Health from what the script printed. Raises KlabError when that is something else.

    A student is root there: whatever comes is text of theirs, and shown as such.
    """
    try:
        release, numbers, _, room, *rest = console.NOISE.sub("", said).splitlines()
        times, log = rest[: rest.index(END)], rest[rest.index(END) + 1 :]
        up, load = map(float, numbers.split())
        active = max(map(float, times), default=0.0)
        # A name of a file system may hold blanks; what is free is the third from behind.
        free = int(room.split()[-3]) >> 10
        splats = _names(console.splats(log, everything=True)) if log else None
        return Health(CONTROL.sub("?", release)[:80], up, load, free, int(active), splats)
    except (ValueError, IndexError, OverflowError) as error:
        raise KlabError(
            f"it answers, but not as a seat does: {said[:200]!r}",
            step="class: status",
            machine=name,
            mend=f"log in and look ({error})",
        ) from None
