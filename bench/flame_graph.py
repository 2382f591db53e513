#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a lab machine: from ten seconds of samples to the picture, as a student waits for it.

Median of RUNS turns of folding and drawing one recording, with frame pointers and with DWARF.
Nothing else should run. Budget under emulation: 10 s.

Run: .venv/bin/python bench/flame_graph.py MACHINE [RUNS]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

from klab.machine import model
from klab.paths import repo_dir

BUDGET_S = 10.0
SOURCE = repo_dir() / "tests/fixtures/profiles/sort.c"
HERE = "cd /var/tmp && export PERF_CONFIG=/dev/null"
RECORD = (
    f"{HERE} && cat >sort.c && gcc -O2 -g -fno-omit-frame-pointer -o sort sort.c && sudo sysctl -qw"
    " kernel.perf_event_paranoid=-1 && for how in fp dwarf; do"
    " timeout 10 perf record -q -N -e cpu-clock -F 99 --call-graph $how -o $how.data ./sort 1000; done; true"
)
DRAW = (
    f"{HERE} && perf script --no-inline -i {{how}}.data -s stackcollapse.py | flamegraph >{{how}}.svg"
    " && grep -c klab_hot {how}.svg"
)


def there(machine: model.Machine, line: str, words: str = "") -> float:
    """Wall seconds of a line of shell on the machine, which must succeed."""
    began = time.monotonic()
    argv = ["ssh", "-F", str(machine.ssh_config), machine.name, line]
    done = subprocess.run(argv, input=words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{line}: {done.stdout}{done.stderr}")
    return round(time.monotonic() - began, 2)


def main() -> int:
    """Measure, and hold it against the budget."""
    machine = model.get(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    there(machine, RECORD, SOURCE.read_text())
    found = {how: [there(machine, DRAW.format(how=how)) for _ in range(runs)] for how in ("fp", "dwarf")}
    there(machine, "rm /var/tmp/*.data /var/tmp/*.svg /var/tmp/sort*")
    medians = {how: median(each) for how, each in found.items()}
    print(json.dumps({"runs": found, "median_s": medians, "budget_s": BUDGET_S}, indent=2))
    return 1 if max(medians.values()) > BUDGET_S else 0


if __name__ == "__main__":
    sys.exit(main())
