#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a teacher waits for the grades of one lab from so many machines, half of them solved.

`klab class grade LAB --fresh`, as it is typed, from the seats' files to the signed gradebook; the median
of three. What is graded must be what was solved. A state folder of its own; nothing else should run.

Run: .venv/bin/python bench/class_grade.py [--seats 8] [--lab lkm-lifecycle]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import class_soak
import click
from class_scaling import CLASS, define, destroyed

from klab import catalogue
from klab.paths import repo_dir

BUDGET_S = 60.0  # for 8 seats
RUNS = 3
KLAB = [sys.executable, "-m", "klab"]


def graded(folder: Path, lab: str) -> tuple[float, dict[str, str]]:
    """Wall seconds of a grading, and the word of each login."""
    argv = [*KLAB, "class", "grade", lab, "--fresh", "--class", str(folder), "--json"]
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    book = next(Path(path) for path in said["gradebook"] if path.endswith(".json"))
    return took, {
        row["login"]: one["word"]
        for row in json.loads(book.read_text())["seats"]
        for one in row["labs"].values()
    }


@click.command()
@click.option("--seats", default=8, show_default=True)
@click.option("--lab", "word", default="lkm-lifecycle", show_default=True)
def main(seats: int, word: str) -> None:
    """Print the median and the runs; exit status 1 when 8 seats or fewer are over the budget."""
    (lab,) = catalogue.select(catalogue.load(), [word])
    with tempfile.TemporaryDirectory(prefix="klab-grade-") as name:
        os.environ["KLAB_STATE"] = f"{name}/state"
        folder, log = Path(name, "class"), Path(name, "log")
        env = {**os.environ, "ANSIBLE_CONFIG": str(repo_dir() / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
        define(folder, seats)
        try:
            if class_soak.opened(folder, log, env).code:
                sys.exit(log.read_text()[-4000:])
            wanted = {f"s{number:02}": "fail" if number % 2 else "pass" for number in range(1, seats + 1)}
            for login in [login for login, verdict in wanted.items() if verdict == "pass"]:
                argv = [*KLAB, "solve", lab.id, "--machine", f"{CLASS}-{login}"]
                subprocess.run(argv, check=True, capture_output=True)
            took = []
            for _ in range(RUNS):
                seconds, words = graded(folder, lab.id)
                if words != wanted:
                    sys.exit(f"graded {words}, wanted {wanted}")
                took.append(seconds)
        finally:
            destroyed()
    median = statistics.median(took)
    print(f"{seats} seats, {lab.id}: {median:.1f} s ({', '.join(f'{each:.1f}' for each in took)})")
    print(f"budget for 8 seats: {BUDGET_S:g} s; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    sys.exit(seats <= 8 and median > BUDGET_S)


if __name__ == "__main__":
    main()
