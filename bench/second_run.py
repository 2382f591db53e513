#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long site.yml takes when everything is done: median wall seconds as JSON.

The machine must be there (make lab) and the computer otherwise idle.

Run: .venv/bin/python bench/second_run.py [RUNS]
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
COMMAND = ["ansible-playbook", "playbooks/site.yml", "-i", "inventories/single"]


def run() -> tuple[float, int]:
    """One run; its wall seconds and the sum of `changed` over all hosts."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = time.monotonic()
    done = subprocess.run(COMMAND, cwd=REPO, env=env, capture_output=True, text=True, check=True)
    took = time.monotonic() - started
    return took, sum(int(count) for count in re.findall(r"changed=(\d+)", done.stdout))


def main() -> None:
    """Run it several times and print the median."""
    runs = [run() for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
    walls = [round(took, 1) for took, _ in runs]
    changed = [count for _, count in runs]
    median = statistics.median(walls)
    print(json.dumps({"command": " ".join(COMMAND), "wall_s": walls, "median_s": median, "changed": changed}))


if __name__ == "__main__":
    main()
