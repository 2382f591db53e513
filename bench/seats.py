#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a further seat of a class costs: wall seconds, disk, and memory at rest.

  template  a machine of 512 MiB booted, set up and kept (once for a class)
  seat      klab vm seat, one after the other: made, going on, itself, greeting by ssh
  restore   klab vm reset of one seat, until it is itself again
  disk      what each seat's own layer takes after that
  memory    proportional set size of each QEMU, a minute later: what is shared counts in part

Medians over the seats, whole commands, Python's start included. A state folder of its own; nothing
else should run meanwhile.

Run: .venv/bin/python bench/seats.py [--count 8] [--flavour lab] [--provider libvirt]
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from klab.kernel import artefact
from klab.kernel import flavour as flavours
from klab.machine import model, parts

BUDGET = {"seat_s": 5.0, "restore_s": 5.0, "disk_mib": 60.0, "memory_mib": 400.0}
MEMORY = 512  # MiB
REST_S = 60.0


def klab(*words: str) -> tuple[float, dict[str, Any]]:
    """Wall seconds of a verb, and its data. Ends the bench when it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "klab", *words, "--json"], capture_output=True, text=True, check=False
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if done.returncode:
        sys.exit(said["msg"])
    return time.monotonic() - began, said


def pss_mib(pid: int) -> float:
    """A process's proportional set size (proc(5), smaps_rollup)."""
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--flavour", default="lab", show_default=True)
@click.option(
    "--provider", type=click.Choice([model.QEMU, model.LIBVIRT]), default=model.QEMU, show_default=True
)
def main(count: int, flavour: str, provider: str) -> None:
    """Print the medians as JSON; exit status 1 when one is over its budget."""
    kernel, line = artefact.get(flavour).digest, " ".join(flavours.load(flavour).cmdline)
    image = parts.newest_image().digest
    names = [f"seat{number}" for number in range(1, count + 1)]
    with tempfile.TemporaryDirectory(prefix="klab-bench-") as state:
        os.environ["KLAB_STATE"] = state
        try:
            klab("vm", "create", "--name", "seat0", "--kernel", kernel, "--image", image, "--cmdline", line,
                 "--memory", str(MEMORY), "--cpus", "1")  # fmt: skip
            template, _ = klab("vm", "ready", "--name", "seat0")
            klab("vm", "stop", "--name", "seat0", "--force")
            like = ("--like", "seat0", "--no-internet", "--provider", provider)
            made = [klab("vm", "seat", "--name", name, *like) for name in names]
            restored = [klab("vm", "reset", "--name", name)[0] for name in names]
            time.sleep(REST_S)
            facts = [klab("vm", "status", "--name", name)[1]["machine"] for name in names]
            disk = [Path(one["dir"], "disk.qcow2").stat().st_blocks / 2048 for one in facts]
            memory = [pss_mib(one["pid"]) for one in facts]
        finally:
            for name in ["seat0", *names]:
                klab("vm", "destroy", "--name", name, "--yes")
    seconds = [took for took, _ in made]
    found = {"seat_s": seconds, "restore_s": restored, "disk_mib": disk, "memory_mib": memory}
    medians = {name: round(statistics.median(each), 2) for name, each in found.items()}
    shown = {name: [round(one, 2) for one in each] for name, each in found.items()}
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({"template_s": round(template, 2), "medians": medians, "budget": BUDGET, "each": shown,
                      "cpus": os.cpu_count(), "load": load}, indent=2))  # fmt: skip
    sys.exit(any(medians[name] > limit for name, limit in BUDGET.items()))


if __name__ == "__main__":
    main()
