#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a guest takes in which every tool of tracing and BPF is used once, for each kernel.

The guest of tests/observability/test_tools.py: wall seconds inside klab; what is built on this computer
is built before. Nothing else should run meanwhile; the load is printed beside the medians.

Run: .venv/bin/python bench/track5_tools.py [--flavour lab]… [--runs 3]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

import click

from klab import accel

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from fixtures import tools

BUDGET_S = 60.0


@click.command()
@click.option("--flavour", "flavours", multiple=True, default=("lab", "stock", "nobtf"), show_default=True)
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True)
def main(flavours: tuple[str, ...], runs: int) -> None:
    """Print the medians, and the slowest tools; exit status 1 when one guest is over the budget."""
    over = False
    with tempfile.TemporaryDirectory() as folder:
        built = tools.core(Path(folder, "core"))
    for flavour in flavours:
        tools.use(flavour, built)  # the guest is kept from here on
        ran = [tools.use(flavour, built) for _ in range(runs)]
        median = statistics.median(each.wall_s for each in ran)
        over |= median > BUDGET_S
        print(f"{flavour:<6} {median:6.2f} s  (budget {BUDGET_S:g})  {[each.wall_s for each in ran]}")
        ended = [line.split() for line in ran[-1].results["ended"].decode().splitlines()]
        slow = sorted(((int(ms) / 1000, name) for name, _, ms in ended), reverse=True)[:8]
        print("       " + ", ".join(f"{name} {seconds:.1f}" for seconds, name in slow))
    print(f"{accel.probe().accel}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    sys.exit(over)


if __name__ == "__main__":
    main()
