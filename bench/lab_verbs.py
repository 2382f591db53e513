#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the everyday verbs take, as someone who types them waits.

  catalogue  the whole catalogue's check, without a machine
  list show  on this computer
  start      a lab's files put on a ready machine, from this computer and typed there
  restore    a machine put back to its snapshot: what isolates two labs
  check      `klab check` typed there, beyond what its grader says it worked

Medians of wall seconds. The machine must be up (make lab); nothing else should run. It is
reset at the end, as what `start` laid there has to go.

Run: .venv/bin/python bench/lab_verbs.py [--machine lab1] [--lab raw-syscall] [--runs 5]
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from klab.machine import model
from klab.paths import repo_dir

BUDGET_S = {
    "catalogue": 2.0,
    "list": 0.5,
    "show": 0.5,
    "start": 5.0,
    "typed": 5.0,
    "restore": 2.0,
    "check": 3.0,
}
KLAB = Path(sys.executable).with_name("klab")


def took(argv: Sequence[str | Path], codes: tuple[int, ...] = (0,)) -> tuple[float, str]:
    """Wall seconds of a command, and what it said. Ends with its words when it fails."""
    began = time.perf_counter()
    done = subprocess.run(argv, cwd=repo_dir(), capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if done.returncode not in codes:
        sys.exit(f"{' '.join(map(str, argv))}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return wall, done.stdout


@click.command()
@click.option("--machine", default="lab1", show_default=True)
@click.option("--lab", default="raw-syscall", show_default=True)
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True)
def main(machine: str, lab: str, runs: int) -> None:
    """Print the medians; exit status 1 when one is over its budget."""
    there = ["ssh", "-F", str(model.get(machine).ssh_config), machine]
    restore: list[str | Path] = [KLAB, "vm", "reset", "--name", machine]
    seconds: dict[str, list[float]] = {name: [] for name in BUDGET_S}
    took(restore)
    for _ in range(runs):
        seconds["catalogue"].append(took([KLAB, "catalogue", "check"])[0])
        seconds["list"].append(took([KLAB, "list"])[0])
        seconds["show"].append(took([KLAB, "show", lab])[0])
        seconds["start"].append(took([KLAB, "start", lab, "--machine", machine])[0])
        seconds["restore"].append(took(restore)[0])
        took([*there, "true"])  # the connection that later ones share
        seconds["typed"].append(took([*there, "klab", "start", lab])[0])
        wall, said = took([*there, "klab", "check", lab], codes=(0, 1))
        worked = re.search(r" in ([\d.]+) s", said)
        if not worked:
            sys.exit(f"klab check says no time:\n{said}")
        seconds["check"].append(wall - float(worked[1]))
        took(restore)
    over = False
    for name, budget in BUDGET_S.items():
        median = statistics.median(seconds[name])
        over |= median > budget
        print(
            f"{name:<10} {median:5.2f} s  (budget {budget:g})  {[round(each, 2) for each in seconds[name]]}"
        )
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    sys.exit(over)


if __name__ == "__main__":
    main()
