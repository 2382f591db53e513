#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a changed line in a fragment to a running guest, warm; and the lookup of what is there.

Unless the flavour's output tree is there, it is made first (that build is not measured). A copy
of labs/_kernels gets one symbol more in a fragment of its own; then `klab kernel build`
makes that kernel and `klab guest run` boots it. The changed kernel leaves the cache again.

Budgets: 180 s to the running guest on two cores; 1 s for the lookup.

Run: .venv/bin/python bench/kernel_change.py [FLAVOUR] [SYMBOL=VALUE]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from klab import namespace
from klab.kernel import outtree
from klab.paths import repo_dir

# A driver that becomes a part of vmlinux: it is linked, and its types written, anew.
CHANGE = "DUMMY_IRQ=y"
BEFORE = "TEST_HEXDUMP=m"  # another change, when there is no tree yet
BUDGET_S, LOOKUP_S = 180.0, 1.0


def timed(env: dict[str, str], *words: str) -> tuple[float, dict[str, Any]]:
    """Wall seconds of a klab command, and its answer."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "klab", *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"klab {' '.join(words)}: {done.stdout}{done.stderr}")
    wall_s = round(time.monotonic() - began, 2)
    return wall_s, json.loads(done.stdout) if "--json" in words else {"said": done.stdout}


def changed(folder: Path, name: str, change: str) -> None:
    """labs/_kernels in `folder`, with one fragment more in the flavour."""
    shutil.copytree(repo_dir() / "labs/_kernels", folder)
    path = folder / "flavours.yml"
    data = yaml.safe_load(path.read_text())
    data["flavours"][name]["fragments"].append("bench")
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    (folder / "fragments/bench.config").write_text(f"# Changed for a measurement.\nCONFIG_{change}\n")


def main() -> int:
    """Measure, and hold it against the budgets."""
    name = sys.argv[1] if len(sys.argv) > 1 else "lab"
    change = sys.argv[2] if len(sys.argv) > 2 else CHANGE
    show = ("kernel", "show", "--flavour", name, "--json")
    timed(dict(os.environ), *show)
    lookup_s, _ = timed(dict(os.environ), *show)
    with TemporaryDirectory(prefix="klab-bench-") as place:
        kernels = Path(place) / "kernels"
        changed(kernels, name, change)
        env = {**os.environ, "KLAB_KERNELS": str(kernels)}
        if name not in {outtree.flavour(path) for path in outtree.kept()}:
            changed(Path(place) / "before", name, BEFORE)
            timed({**env, "KLAB_KERNELS": f"{place}/before"}, "kernel", "build", "--flavour", name, "--json")
        build_s, answer = timed(env, "kernel", "build", "--flavour", name, "--json")
        if not answer["changed"]:
            sys.exit(f"{name} with {change} was built before: choose another symbol, or prune it")
        try:
            guest_s, said = timed(env, "guest", "run", "--kernel", answer["digest"], "--", "uname", "-v")
        finally:  # or it would be the newest of its flavour there
            namespace.remove(Path(answer["path"]))
    found = {
        "flavour": name,
        "change": change,
        "lookup_s": lookup_s,
        "build_s": build_s,
        "guest_s": guest_s,
        "total_s": round(build_s + guest_s, 2),
        "cost": answer["cost"],
        "guest_said": said["said"].strip().splitlines()[-1],
    }
    print(json.dumps(found, indent=2))
    return 1 if found["total_s"] > BUDGET_S or lookup_s > LOOKUP_S else 0


if __name__ == "__main__":
    sys.exit(main())
