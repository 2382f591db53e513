# SPDX-License-Identifier: GPL-3.0-or-later
"""From fragments to a .config, and the proof that every request survived."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import kconfiglib

from klab import run
from klab.errors import KlabError
from klab.kernel import explain
from klab.kernel.flavour import Flavour
from klab.kernel.fragment import Request, combine
from klab.kernel.root import Toolroot

STEP = "kernel_build: resolve config"
# Packages land beside the output folder, so what is bound is the folder around it.
SRC, WORK = "/klab/src", "/klab/work"
_LINE = re.compile(r"^CONFIG_(\w+)=(.*)$|^# CONFIG_(\w+) is not set$", re.MULTILINE)


def read_config(text: str) -> dict[str, str]:
    """A .config as {symbol: value}; symbols that are not set are "n"."""
    return {m[1] or m[3]: m[2] if m[1] else "n" for m in _LINE.finditer(text)}


def dropped(requests: Mapping[str, Request], config: Mapping[str, str]) -> dict[str, str]:
    """Requests whose value in the resolved config is another: {symbol: seen value}."""
    return {
        name: config.get(name, "n")
        for name, request in requests.items()
        if config.get(name, "n") != request.value
    }


def _reasons(tools: Toolroot, wanted: Mapping[str, Request], names: list[str]) -> dict[str, list[str]]:
    asked = [f"{name}={wanted[name].value}" for name in names]
    argv = tools.argv(
        [
            "python3",
            f"{tools.inside(WORK)}/conf/explain.py",
            tools.inside(SRC),
            f"{tools.inside(WORK)}/out/.config",
            *asked,
        ]
    )
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, **tools.env()}
    )
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {}


def prove(tools: Toolroot, requests: Mapping[str, Request], config: Mapping[str, str], log: Path) -> None:
    """Raise KlabError naming each dropped symbol, its fragment and what it lacks."""
    lost = dropped(requests, config)
    if not lost:
        return
    why = _reasons(tools, requests, sorted(lost))
    lines = []
    for name, seen in sorted(lost.items()):
        because = "; ".join(why.get(name, [])) or "no reason found, see the log"
        lines.append(
            f"  CONFIG_{name}={requests[name].value} ({requests[name].place}) became {seen}: {because}"
        )
    raise KlabError(
        f"the kernel dropped {len(lost)} of {len(requests)} requested symbols:\n" + "\n".join(lines),
        step=STEP,
        log=log,
        mend="add what is needed to a fragment of this flavour, or take the request out",
    )


def resolve(flavour: Flavour, tools: Toolroot, source: Path, work: Path, log: Path) -> dict[str, Request]:
    """Write `work`/out/.config for a flavour and prove it; returns the proved requests.

    The kernel's own merge_config.sh merges, its own Kconfig resolves. Raises
    KlabError before anything is compiled when a symbol was dropped.
    """
    requests = combine(flavour.fragments)
    conf = work / "conf"
    shutil.rmtree(conf, ignore_errors=True)
    conf.mkdir(parents=True)
    (work / "out").mkdir(exist_ok=True)
    for path in (*flavour.fragments, Path(explain.__file__), Path(kconfiglib.__file__)):
        shutil.copy(path, conf)
    bound = tools.with_binds({SRC: source, WORK: work})
    src, inside = bound.inside(SRC), bound.inside(WORK)
    parts = " ".join(f"{inside}/conf/{path.name}" for path in flavour.fragments)
    # merge_config.sh writes its temporary file where it stands: not into the source.
    script = (
        f"set -e; cd {inside}/conf; {src}/scripts/kconfig/merge_config.sh -m -O {inside}/conf {parts};"
        f" make -s -C {src} O={inside}/out KCONFIG_ALLCONFIG={inside}/conf/.config {flavour.base}"
    )
    run.logged(bound.argv(["sh", "-c", script]), log=log, step=STEP, env=bound.env({"ARCH": "x86_64"}))
    prove(bound, requests, read_config((work / "out/.config").read_text()), log)
    return requests
