#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a teacher waits for the status of so many seats, and what that costs beside ssh itself.

Light seats (tests/classroom/light.py), real ssh. `first` opens the connections, `again` uses them;
`floor` is ssh alone: `true` on all seats at once, over connections that are there. Medians of wall
seconds, of `klab class status` as it is typed. Needs root; nothing else should run.

Run: .venv/bin/python bench/class_status.py [N…]      default: 1 10 50
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from classroom import light
from klab.classroom import definition, parallel, reach
from klab.classroom.model import Class, Seat

BUDGET_S = 5.0  # for 50 seats
RUNS = 3


def typed(folder: Path) -> float:
    """Wall seconds of the command. Ends with its words when a seat does not answer."""
    argv = [sys.executable, "-m", "klab", "class", "status", "--class", str(folder)]
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - began


def floor(class_: Class) -> float:
    """Wall seconds of ssh alone."""

    def one(seat: Seat) -> int:
        argv = ["ssh", "-F", reach.of(class_, seat).ssh_config, seat.name, "true"]
        return subprocess.run(argv, check=False).returncode

    began = time.perf_counter()
    if any(parallel.over(class_.seats, one, jobs=len(class_.seats)).values()):
        sys.exit("a seat does not answer ssh")
    return time.perf_counter() - began


def measure(count: int) -> dict[str, float]:
    """The three numbers for so many seats."""
    with tempfile.TemporaryDirectory(prefix="klab-bench-") as name:
        folder = Path(name)
        os.environ["KLAB_STATE"] = str(folder / "state")
        key = reach.client_key(light.course([])).with_suffix(".pub")
        with light.world(count, key) as seats:
            class_ = definition.load(light.define(folder / "class", seats))
            for seat in class_.seats:
                reach.write(class_, seat)
            first = typed(folder / "class")
            again = [typed(folder / "class") for _ in range(RUNS)]
            floors = [floor(class_) for _ in range(RUNS)]
    return {"first": first, "again": statistics.median(again), "floor": statistics.median(floors)}


def main() -> None:
    """Print a line for each count; exit status 1 when 50 seats or fewer are over the budget."""
    over = False
    print("seats   first   again   floor  (seconds)")
    for count in [int(word) for word in sys.argv[1:]] or [1, 10, 50]:
        found = measure(count)
        over |= count <= 50 and max(found["first"], found["again"]) > BUDGET_S
        print(f"{count:>5}  {found['first']:6.2f}  {found['again']:6.2f}  {found['floor']:6.2f}", flush=True)
    print(f"budget for 50 seats: {BUDGET_S:g} s; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    sys.exit(over)


if __name__ == "__main__":
    main()
