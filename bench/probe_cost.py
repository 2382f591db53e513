#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe costs on several kernels: the harness of labs/_bench, each time in a new guest.

Shown are medians over the guests, and the ratio of the fastest batches of all. Under emulation only
ratios mean something, and only beside each other.

Run: .venv/bin/python bench/probe_cost.py [GUESTS] [FLAVOUR...]
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from klab import accel, sandbox
from klab.catalogue import labs_dir
from klab.guest import initramfs, runner
from klab.kernel import artefact


def built(place: Path) -> bytes:
    """The harness, built as a lab's would be."""
    folder = place / "bench"
    shutil.copytree(labs_dir() / "_bench", folder)
    said = sandbox.run(["make"], folder=folder, toolchain="bpf", deadline_s=sandbox.MAKE_S)
    if said.code:
        sys.exit(said.err)
    return (folder / "probe_cost").read_bytes()


def measured(flavour: str, harness: bytes) -> list[dict[str, Any]]:
    """What one guest says of each program."""
    ran = runner.run(
        artefact.get(flavour).file("bzImage"), ["/klab/probe_cost --json >/klab/out/measured"],
        which=accel.probe().accel, base="debian", memory=1024, deadline_s=240,
        files={"klab/probe_cost": (initramfs.PROGRAM, harness)},
    )  # fmt: skip
    if ran.status:
        sys.exit(f"{flavour}: the harness ended with {ran.status}: {ran.output.decode(errors='replace')}")
    return list(json.loads(ran.results["measured"])["programs"])


def main() -> int:
    """Measure in turn, print a table."""
    guests = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    flavours = sys.argv[2:] or ["lab", "stock"]
    seen: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in flavours}
    with TemporaryDirectory(prefix="bench-") as place:
        harness = built(Path(place))
    for _ in range(guests):
        for name in flavours:
            seen[name].append(measured(name, harness))
    print(f"{'kernel':8} {'program':8} {'events/s':>12} {'ns/event':>10} {'ratio':>7} {'of the fastest':>15}")
    for name, runs in seen.items():
        least = [min(one["least"] for one in each) for each in zip(*runs, strict=True)]
        for each, ns in zip(zip(*runs, strict=True), least, strict=True):
            median = statistics.median(one["ns"] for one in each)
            ratio = statistics.median(one["ratio"] for one in each)
            print(
                f"{name:8} {each[0]['name']:8} {1e9 / median:12.0f} {median:10.0f} {ratio:7.2f}"
                f" {ns / least[0]:15.2f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
