#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a lab machine takes to answer over ssh, and what it takes of the disk.

  first boot    klab vm start on a new machine: power-on to a login that ran a command
  from ready    klab vm reset on a machine that is off: QEMU starts with -loadvm
  reset         klab vm reset on a running machine
  resume        klab vm stop, then klab vm start: what ran goes on
  disk          the overlay after the first boot, and with the ready snapshot

Times are wall seconds of the whole command, Python's start included. A machine of its
own in a state folder of its own; nothing else should run meanwhile.

Run: .venv/bin/python bench/boot_machine.py --kernel DIGEST --image DIGEST [--runs 5]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import click

NAME = "bench1"
MIB = 1 << 20


def klab(*words: str) -> dict[str, Any]:
    """Run a verb; its data. Ends the bench when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "klab", *words, "--json"], capture_output=True, text=True, check=False
    )
    said: dict[str, Any] = json.loads(done.stdout)
    if done.returncode:
        sys.exit(said["msg"])
    return said


def timed(*words: str) -> float:
    """Wall seconds of a verb."""
    began = time.monotonic()
    klab(*words)
    return round(time.monotonic() - began, 2)


def row(what: str, command: str, seconds: list[float], budget: float) -> dict[str, Any]:
    """One line of the result."""
    return {
        "what": what,
        "command": command,
        "seconds": seconds,
        "median": statistics.median(seconds),
        "budget": budget,
    }


@click.command()
@click.option("--kernel", required=True, help="Digest or bzImage.")
@click.option("--image", required=True, help="Digest or raw disk.")
@click.option("--cmdline", default="", help="The flavour's kernel arguments.")
@click.option("--runs", default=5, show_default=True)
@click.option(
    "--idle", default=30.0, show_default=True, help="Seconds of idleness before the disk is measured."
)
def main(kernel: str, image: str, cmdline: str, runs: int, idle: float) -> None:
    """Measure and print JSON."""
    with tempfile.TemporaryDirectory(prefix="klab-bench-") as state:
        os.environ["KLAB_STATE"] = state
        machine = ("--name", NAME)
        make = ["vm", "create", *machine, "--kernel", kernel, "--image", image, "--recreate", "always"]
        make += ["--cmdline", cmdline]
        try:
            first = []
            for _ in range(runs):
                klab("vm", "destroy", *machine, "--yes")
                klab(*make)
                first.append(timed("vm", "start", *machine))
            time.sleep(idle)
            plain = klab("vm", "status", *machine)["machine"]["disk_bytes"]
            snapshot = timed("vm", "ready", *machine)
            whole = klab("vm", "status", *machine)["machine"]["disk_bytes"]
            reset = [timed("vm", "reset", *machine) for _ in range(runs)]
            ready, resume = [], []
            for _ in range(runs):
                klab("vm", "stop", *machine, "--force")
                ready.append(timed("vm", "reset", *machine))
            for _ in range(runs):
                klab("vm", "stop", *machine)
                resume.append(timed("vm", "start", *machine))
        finally:
            klab("vm", "destroy", *machine, "--yes")
    times = [
        row("first boot to ssh", f"klab vm start --name {NAME}", first, 10),
        row("from ready to ssh", f"klab vm reset --name {NAME} (off)", ready, 2),
        row("reset to ssh", f"klab vm reset --name {NAME} (running)", reset, 2),
        row("resume to ssh", f"klab vm start --name {NAME} (after stop)", resume, 2),
    ]
    disk = [
        {"what": "disk, idle, no snapshot", "mib": plain / MIB, "budget": 30},
        {"what": "disk with its snapshot", "mib": whole / MIB, "budget": 500},
    ]
    load = os.getloadavg()[0]
    print(json.dumps({"times": times, "snapshot_s": snapshot, "disk": disk, "load": load}, indent=2))


if __name__ == "__main__":
    main()
