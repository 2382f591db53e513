#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What flavours cost: cold, and again with a warm ccache, built in turn.

Each flavour is resolved, compiled and packed as `klab kernel build` does it, in a folder
and with a ccache of its own, so that nothing of an earlier build helps; then once more
in a new folder with that ccache. An artefact in the cache that was itself built from nothing
has told the first of the two already; the second then goes by the shared ccache.

The costs go into docs/reference/data/kernel_costs.json, from which docs/reference/flavours.md
and the first estimate on a new machine are made.
`reference` is x86_64_defconfig + kvm_guest.config + BTF, compiled only.

Budgets: each sanitizer flavour costs at most what `lab` costs; warm at most 20 % of cold.
Takes up to an hour for each flavour on two cores, a fifth of it where the cache has the cold build;
give it the machine for itself.

Run: .venv/bin/python bench/kernel_cost.py lab san kcsan
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from klab import run
from klab.kernel import artefact, estimate, kbuild, outtree, reproduce, resolve, root, source
from klab.kernel import flavour as flavours
from klab.paths import log_dir, repo_dir
from klab.progress import Progress

REFERENCE = "reference"
CONFIGURE = (
    "mkdir -p /klab/work/out; make -s -C /klab/src O=/klab/work/out x86_64_defconfig kvm_guest.config;"
    " /klab/src/scripts/config --file /klab/work/out/.config -e BPF_SYSCALL -d DEBUG_INFO_NONE"
    " -e DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT -e DEBUG_INFO_BTF;"
    " make -s -C /klab/src O=/klab/work/out olddefconfig;"
    " grep -q ^CONFIG_DEBUG_INFO_BTF=y /klab/work/out/.config"
)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the cache's own disk that is gone afterwards."""
    with TemporaryDirectory(prefix="bench-", dir=outtree.folder().parent) as folder:
        yield Path(folder)


def flavour_once(name: str, ccache: Path | None) -> dict[str, Any]:
    """One build of a flavour from an empty folder, with that ccache or the shared one."""
    tools = root.ready(flavours.built(name).toolchain)
    plan = artefact.plan(name, tools.versions)
    tree = source.ensure(plan.flavour.source).path / "tree"
    log = log_dir() / f"bench-kernel_cost-{name}.log"
    with scratch() as folder:
        work = outtree.Outtree(folder, fresh=True)
        resolve.resolve(plan.flavour, tools, tree, folder, log)
        progress = Progress("bench", name, plan.flavour.objects)
        setting = kbuild.Setting(kbuild.jobs(), ccache_dir=ccache)
        cost, _ = kbuild.kernel(plan, tools, tree, work, log=log, progress=progress, setting=setting)
    return {"cpu_s": cost.cpu_s, "wall_s": cost.wall_s, "objects": cost.objects, "hits": cost.hits}


def flavour_cost(name: str) -> dict[str, Any]:
    """A flavour cold, then from ccache."""
    if entry := reproduce.from_nothing(name):
        cold, warm = entry.manifest["cost"], flavour_once(name, None)
    else:
        with scratch() as ccache:
            cold, warm = flavour_once(name, ccache), flavour_once(name, ccache)
    return {
        "cpu_s": cold["cpu_s"],
        "wall_s": cold["wall_s"],
        "objects": cold["objects"],
        "warm_cpu_s": warm["cpu_s"],
        "warm_wall_s": warm["wall_s"],
        "warm_hits": warm["hits"],
    }


def reference_cost() -> dict[str, Any]:
    """The kernel's own default for a KVM guest, of the source that `lab` is made of."""
    tools = root.ready()
    tree = source.ensure(flavours.built("lab").source).path / "tree"
    seen = 0

    def count(line: str) -> None:
        nonlocal seen
        seen += line.lstrip().startswith(("CC ", "AS "))

    with scratch() as folder:
        bound = tools.with_binds({resolve.SRC: tree, resolve.WORK: folder})
        make = f"make -C /klab/src O=/klab/work/out -j{kbuild.jobs()} bzImage modules"
        used = run.logged(
            bound.argv(["sh", "-c", f"set -e; {CONFIGURE}; {make}"]),
            log=log_dir() / f"bench-kernel_cost-{REFERENCE}.log",
            step=f"bench: {REFERENCE}",
            env=bound.env(),
            on_line=count,
        )
    return {"cpu_s": used.cpu_s, "wall_s": used.wall_s, "objects": seen}


def main() -> int:
    """Build the flavours named, note their costs, and hold them against the budgets."""
    path = repo_dir() / estimate.COSTS
    known = json.loads(path.read_text()) if path.exists() else {"flavours": {}}
    names = sys.argv[1:] or ["lab"]
    for name in names:
        known["flavours"][name] = reference_cost() if name == REFERENCE else flavour_cost(name)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    known |= {
        "command": f"bench/kernel_cost.py {' '.join(sorted(known['flavours']))}",
        "machine": f"{len(os.sched_getaffinity(0))} cores and {memory:.0f} GiB, {time.strftime('%F')}",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    costs = known["flavours"]
    print(json.dumps(costs, indent=2, sort_keys=True))
    over = [n for n in names if "warm_cpu_s" in costs[n] and costs[n]["warm_cpu_s"] > 0.2 * costs[n]["cpu_s"]]
    over += [
        n for n in ("san", "kcsan") if {n, "lab"} <= set(names) and costs[n]["cpu_s"] > costs["lab"]["cpu_s"]
    ]
    for name in over:
        print(f"over budget: {name}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
