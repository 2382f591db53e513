#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot to a command: klab guest run against virtme-ng, the same kernel, in turn.

Each runs `exit 42` in a guest under emulation and hands back the status it got; virtme-ng
comes from PyPI into a temporary venv. A pseudo-terminal is given to both, because
virtme-ng asks for one.

Run: .venv/bin/python bench/boot_command.py --kernel DIGEST [--runs 5]
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from klab.machine import parts

STATUS = 42
COMMAND = f"echo klab-$(uname -s)-ran; exit {STATUS}"
PROOF = "klab-Linux-ran"


@dataclass(frozen=True)
class Ran:
    """One boot: wall seconds, exit status, and whether the command's output came."""

    wall_s: float
    status: int
    proved: bool


def timed(argv: list[str]) -> Ran:
    """Run a command on a terminal of its own."""
    ours, theirs = pty.openpty()
    began = time.monotonic()
    said = b""
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as child:
        os.close(theirs)
        with suppress(OSError):  # the last writer has closed the terminal
            while part := os.read(ours, 65536):
                said += part
    os.close(ours)
    return Ran(round(time.monotonic() - began, 2), child.returncode, PROOF.encode() in said)


def summary(command: str, runs: list[Ran]) -> dict[str, Any]:
    """The runs of one tool."""
    return {
        "command": f"{command} -- '{COMMAND}'",
        "seconds": [run.wall_s for run in runs],
        "median": statistics.median(run.wall_s for run in runs),
        "status": [run.status for run in runs],
        "ran": all(run.proved for run in runs),
        "exact": all(run.proved and run.status == STATUS for run in runs),
    }


@click.command()
@click.option("--kernel", required=True, help="Digest or bzImage.")
@click.option("--runs", default=5, show_default=True)
def main(kernel: str, runs: int) -> None:
    """Measure and print JSON."""
    with tempfile.TemporaryDirectory(prefix="klab-bench-") as folder:
        image = Path(folder, "bzImage")  # beside a kernel tree virtme-ng would want its modules
        shutil.copy(parts.kernel(kernel).path, image)
        venv.create(f"{folder}/venv", with_pip=True)
        pip = [f"{folder}/venv/bin/pip", "install", "--quiet", "virtme-ng"]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        # virtme-ng looks for its own parts in PATH.
        os.environ["PATH"] = f"{folder}/venv/bin:{os.environ['PATH']}"
        options = {
            "klab": ["klab", "guest", "run", "--accel", "tcg", "--kernel", str(image)],
            "virtme-ng": ["vng", "--run", str(image), "--disable-kvm"],
        }
        python = [sys.executable, "-m"]
        argv = {"klab": [*python, *options["klab"]], "virtme-ng": options["virtme-ng"]}
        seen: dict[str, list[Ran]] = {name: [] for name in argv}
        timed([*argv["klab"], "--", "true"])  # its initramfs is made once and stays
        for _ in range(runs):
            for name, words in argv.items():
                seen[name].append(timed([*words, "--", COMMAND]))
    rows = {name: summary(" ".join(options[name]), ran) for name, ran in seen.items()}
    ratio = round(rows["klab"]["median"] / rows["virtme-ng"]["median"], 2)
    print(json.dumps({**rows, "ratio": ratio, "load": os.getloadavg()[0]}, indent=2))


if __name__ == "__main__":
    main()
