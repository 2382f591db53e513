#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What klab adds to plain make: CPU seconds for an object, in turn, on the same config.

`plain` is what a person would type in the build root: make all, then make bindeb-pkg.
`klab` does the same with ccache (empty, so that it only costs), the build's fixed
environment, the log and the progress. The budget is 1.05.

Run: .venv/bin/python bench/kernel_overhead.py [FLAVOUR] [ROUNDS]
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from klab import run
from klab.kernel import artefact, kbuild, outtree, resolve, root, source
from klab.kernel import flavour as flavours
from klab.paths import cache_dir, log_dir
from klab.progress import Progress

BUDGET = 1.05


def klab(plan: artefact.Plan, tools: root.Toolroot, tree: Path, folder: Path, log: Path) -> float:
    """CPU seconds for an object, as klab builds."""
    progress = Progress("bench", plan.flavour.name, plan.flavour.objects)
    setting = kbuild.Setting(kbuild.jobs(), ccache_dir=folder / "ccache")
    work = outtree.Outtree(folder, fresh=True)
    cost, _ = kbuild.kernel(plan, tools, tree, work, log=log, progress=progress, setting=setting)
    return cost.cpu_s / cost.objects


def plain(tools: root.Toolroot, tree: Path, folder: Path, log: Path) -> float:
    """CPU seconds for an object, as make builds."""
    seen = 0

    def count(line: str) -> None:
        nonlocal seen
        seen += bool(kbuild.COMPILED.match(line))

    bound = tools.with_binds({resolve.SRC: tree, resolve.WORK: folder})
    words = " ".join(tools.make)
    make = f"make -C /klab/src O=/klab/work/out {words} -j{kbuild.jobs()}"
    used = run.logged(
        bound.argv(["sh", "-c", f"set -e; {make} all; {make} -s bindeb-pkg"]),
        log=log,
        step="bench: plain",
        env=bound.env({"DEB_BUILD_PROFILES": "pkg.linux-upstream.nokerneldbg", "KDEB_COMPRESS": "zstd"}),
        on_line=count,
    )
    return used.cpu_s / seen


def main() -> int:
    """Build in turn; exit status 1 above the budget."""
    name = sys.argv[1] if len(sys.argv) > 1 else "own"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    tools = root.ready(flavours.built(name).toolchain)
    plan = artefact.plan(name, tools.versions)
    tree = source.ensure(plan.flavour.source).path / "tree"
    log = log_dir() / "bench-kernel_overhead.log"
    per_object: dict[str, list[float]] = {"klab": [], "plain": []}
    for number in range(2 * rounds):
        who = ("klab", "plain")[number % 2]
        with TemporaryDirectory(prefix="bench-", dir=cache_dir()) as place:
            folder = Path(place)
            resolve.resolve(plan.flavour, tools, tree, folder, log)
            cost = klab(plan, tools, tree, folder, log) if who == "klab" else plain(tools, tree, folder, log)
        per_object[who].append(round(cost, 4))
    ratio = statistics.median(per_object["klab"]) / statistics.median(per_object["plain"])
    print(json.dumps({"flavour": name, "cpu_s_per_object": per_object, "ratio": round(ratio, 3)}, indent=2))
    return 1 if ratio > BUDGET else 0


if __name__ == "__main__":
    sys.exit(main())
