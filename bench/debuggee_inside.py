#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside of a lab machine: a debuggee to its first answer, and crash on a dump that lies there.

Medians of RUNS turns, as a student waits for them: `klab` typed on the machine, over a connection of ssh
that is open. The guest's state is made first, and the dump brought there.

Budgets under emulation: 15 s ready, 60 s to crash's backtrace.

Run: .venv/bin/python bench/debuggee_inside.py MACHINE [RUNS]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

from klab.machine import model

BUDGETS = {"ready": 15.0, "crash": 60.0}


def there(machine: model.Machine, line: str, *, expected: str = "") -> float:
    """Wall seconds of a line of shell on the machine, which must succeed and say what is expected."""
    began = time.monotonic()
    words = ["ssh", "-F", str(machine.ssh_config), machine.name, line]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    took = round(time.monotonic() - began, 2)
    if expected not in done.stdout or (done.returncode and not expected):
        sys.exit(f"{line}: {done.stdout}{done.stderr}")
    return took


def main() -> int:
    """Measure, and hold it against the budgets."""
    machine = model.get(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    found: dict[str, list[float]] = {name: [] for name in BUDGETS}
    there(machine, "klab debuggee up --inside")
    for _ in range(runs):
        found["ready"].append(there(machine, "klab debuggee reset"))
    there(machine, "klab debuggee down; klab debuggee up --beside --kdump")
    there(machine, "klab debuggee run -- sh -c 'echo c >/proc/sysrq-trigger' 2>&1", expected="klab dump list")
    there(machine, r"printf 'bt\nquit\n' >words; klab dump crash -s -i words", expected="sysrq_handle_crash")
    for _ in range(runs):
        found["crash"].append(there(machine, "klab dump crash -s -i words", expected="sysrq_handle_crash"))
    there(machine, "klab debuggee down; rm words")
    medians = {name: median(each) for name, each in found.items()}
    print(json.dumps({"runs": found, "median_s": medians, "budget_s": BUDGETS}, indent=2))
    return 1 if any(medians[name] > budget for name, budget in BUDGETS.items()) else 0


if __name__ == "__main__":
    sys.exit(main())
