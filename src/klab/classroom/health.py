# SPDX-License-Identifier: GPL-3.0-or-later
"""How a seat is, asked in one round trip: its kernel and what that complained of, room, load, activity."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from klab.classroom import ask
from klab.classroom.reach import Reached
from klab.desk.talk import CONTROL
from klab.errors import KlabError
from klab.machine import console

DMESG = 256 << 10  # bytes of the kernel's log that are looked at
# Few programs: an emulated machine pays some 50 ms for each.
SCRIPT = f"""uname -r; read -r up rest </proc/uptime; read -r load rest </proc/loadavg; echo "$up $load"
df -Pk "$HOME" | tail -n 1
find "$HOME/labs" -mindepth 3 -maxdepth 5 -type f -printf '%T@\\n' 2>/dev/null | sort -rn |
head -n 1 | grep . || echo 0
sudo -n dmesg 2>/dev/null | tail -c {DMESG}"""


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
    """Ask a seat. Raises KlabError when it does not answer within `deadline_s` seconds."""
    return parse(seat.name, ask.run(seat, SCRIPT, deadline_s=deadline_s))


def parse(name: str, said: str) -> Health:
    """Health from what the script printed. Raises KlabError when that is something else.

    A student is root there: whatever comes is text of theirs, and shown as such.
    """
    try:
        release, numbers, room, active, *log = said.splitlines()
        up, load = map(float, numbers.split())
        # A name of a file system may hold blanks; what is free is the third from behind.
        free = int(room.split()[-3]) >> 10
        seen = console.splats([console.NOISE.sub("", line) for line in log], everything=True)
        splats = tuple(sorted({found.name for found in seen})) if log else None
        return Health(CONTROL.sub("?", release)[:80], up, load, free, int(float(active)), splats)
    except (ValueError, IndexError, OverflowError) as error:
        raise KlabError(
            f"it answers, but not as a seat does: {said[:200]!r}",
            step="class: status",
            machine=name,
            mend=f"log in and look ({error})",
        ) from None
