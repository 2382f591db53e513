#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A debuggee beside: to its first answer, to a first backtrace, from a panic to a dump, and to crash.

Medians of RUNS turns. The states are made first, and vmlinux indexed, which is not measured. Each
turn of `kgdb` begins with sysrq-g in a kernel that runs, and holds gdb's start. `vmcore` ends when the
dump is kept on the host, put in order and whole.

Budgets: 2 s ready, 5 s to the backtrace, 30 s to the vmcore of a guest with 512 MiB, 15 s to crash's bt.

Run: .venv/bin/python bench/debuggee.py [RUNS]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from klab.debuggee import agent, crash, dumps, gdb, halt, lifecycle, model
from klab.errors import KlabError
from klab.kernel import artefact, symbols

NAME = "bench"
BUDGETS = {"ready": 2.0, "kgdb": 5.0, "vmcore": 30.0, "crash": 15.0}
SESSION_S = 120.0


def timed(work: Callable[[], object]) -> float:
    """Wall seconds of a call."""
    began = time.monotonic()
    work()
    return round(time.monotonic() - began, 2)


def first_backtrace() -> None:
    """Stop a running kernel over KGDB and see where it is."""
    heard = gdb.batch(model.get(NAME), halt.KGDB, ["bt", "detach"], deadline_s=SESSION_S)
    if "__handle_sysrq" not in heard:
        sys.exit(f"no backtrace: {heard}")


def panic() -> None:
    """Let it crash, and keep its dump."""
    known = model.get(NAME)
    with suppress(KlabError):  # it is gone then, as it should be
        agent.call(known, ["echo c >/proc/sysrq-trigger"], deadline_s=SESSION_S)
    if not dumps.collect(known):
        sys.exit("there is no dump")


def opened(folder: Path) -> None:
    """crash opens the dump and says where the panic was."""
    (folder / "words").write_text("bt\nquit\n")
    with chdir(folder):
        argv, env = crash.words(dumps.get(NAME), "crash", ["-s", "-i", f"{model.HERE}/words"])
        env = {**os.environ, **env}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if "sysrq_handle_crash" not in done.stdout:
        sys.exit(f"crash says: {done.stdout}{done.stderr}")


def main() -> int:
    """Measure, and hold it against the budgets."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    symbols.ensure(artefact.get("lab"))
    found: dict[str, list[float]] = {name: [] for name in BUDGETS}
    try:
        lifecycle.up(NAME, "lab")
        for _ in range(runs):
            found["ready"].append(timed(lambda: lifecycle.reset(NAME)))
            found["kgdb"].append(timed(first_backtrace))
        lifecycle.down(NAME)
        for _ in range(runs):
            lifecycle.up(NAME, "lab", dumps_at_crash=True)
            found["vmcore"].append(timed(panic))
            with TemporaryDirectory(prefix="klab-bench-") as folder:
                found["crash"].append(timed(lambda folder=folder: opened(Path(folder))))  # type: ignore[misc]
    finally:
        lifecycle.down(NAME)
        shutil.rmtree(dumps.place(NAME), ignore_errors=True)
    medians = {name: median(each) for name, each in found.items()}
    print(json.dumps({"runs": found, "median_s": medians, "budget_s": BUDGETS}, indent=2))
    return 1 if any(medians[name] > budget for name, budget in BUDGETS.items()) else 0


if __name__ == "__main__":
    sys.exit(main())
