#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a throw-away guest takes from its start to the result of `true`.

  kept    from the kept state
  fresh   booted
Each for both bases. Wall seconds inside klab, without Python's own start; the state is
made before. Nothing else should run meanwhile; the load is printed beside the medians.

Run: .venv/bin/python bench/guest_start.py [--flavour lab] [--runs 5] [--memory 256]
"""

from __future__ import annotations

import os
import statistics
import sys
from functools import partial

import click

from klab import accel
from klab.guest import qemu, runner
from klab.kernel import artefact

BUDGET_S = {"kept": 2.0, "fresh": 6.0}


@click.command()
@click.option("--flavour", default="lab", show_default=True)
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--memory", type=click.IntRange(min=64), default=256, show_default=True, help="MiB.")
def main(flavour: str, runs: int, memory: int) -> None:
    """Print the medians; exit status 1 when one is over its budget."""
    kernel, which = artefact.get(flavour).file("bzImage"), accel.probe().accel
    over = False
    for base in (qemu.TINY, qemu.DEBIAN):
        runner.run(kernel, ["true"], which=which, memory=memory, base=base)
        for how, budget in BUDGET_S.items():
            ask = partial(runner.run, which=which, memory=memory, base=base, fresh=how == "fresh")
            seconds = [ask(kernel, ["true"]).wall_s for _ in range(runs)]
            median = statistics.median(seconds)
            over |= median > budget
            print(f"{base:<7} {how:<6} {median:5.2f} s  (budget {budget:g})  {seconds}")
    print(f"{which}, {memory} MiB, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    sys.exit(over)


if __name__ == "__main__":
    main()
