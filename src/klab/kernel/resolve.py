# SPDX-License-Identifier: GPL-3.0-or-later
"""From fragments to a .config, and the proof that every request survived."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import kconfiglib

from klab import run
from klab.errors import KlabError
from klab.kernel import explain
from klab.kernel.flavour import Built
from klab.kernel.fragment import Request, render
from klab.kernel.root import Toolroot, toolchains

STEP = "kernel_build: resolve config"
# Packages land beside the output folder, so what is bound is the folder around it.
SRC, WORK = "/klab/src", "/klab/work"
ASKED = "asked.config"
TINY = "tinyconfig"
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


def _reasons(
    tools: Toolroot, wanted: Mapping[str, Request], names: list[str]
) -> dict[str, list[dict[str, Any]]]:
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
        argv,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **tools.env(dict(word.split("=", 1) for word in tools.make))},
    )
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {}


def _mend(tool: bool) -> str:
    if tool:
        known = ", ".join(toolchains())
        return f"give the flavour a toolchain that can ({known}: labs/_kernels/toolchain.yml), or take it out"
    return "add what is needed to a fragment of this flavour, or take the request out"


def prove(
    tools: Toolroot, requests: Mapping[str, Request], config: Mapping[str, str], log: Path
) -> dict[str, Request]:
    """The requests, where an optional one that was dropped says what it became.

    Raises KlabError naming each other dropped symbol, its fragment and what it lacks.
    """
    gone = dropped(requests, config)
    lost = {name: seen for name, seen in gone.items() if not requests[name].optional}
    if not lost:
        return {name: replace(request, became=gone.get(name, "")) for name, request in requests.items()}
    why = _reasons(tools, requests, sorted(lost))
    lines = []
    for name, seen in sorted(lost.items()):
        because = "; ".join(reason["text"] for reason in why.get(name, [])) or "no reason found, see the log"
        lines.append(
            f"  CONFIG_{name}={requests[name].value} ({requests[name].place}) became {seen}: {because}"
        )
    raise KlabError(
        f"the kernel dropped {len(lost)} of {len(requests)} requested symbols:\n" + "\n".join(lines),
        step=STEP,
        log=log,
        mend=_mend(any(reason["tool"] for reasons in why.values() for reason in reasons)),
    )


def resolve(flavour: Built, tools: Toolroot, source: Path, work: Path, log: Path) -> dict[str, Request]:
    """Write `work`/out/.config for a flavour and prove it; returns the requests, some of
    which may have been dropped because they are optional.

    The kernel's own Kconfig resolves. Raises KlabError before anything is compiled
    when a symbol was dropped.
    """
    requests = flavour.requests()
    conf = work / "conf"
    shutil.rmtree(conf, ignore_errors=True)
    conf.mkdir(parents=True)
    (work / "out").mkdir(exist_ok=True)
    (conf / ASKED).write_text(render(requests.values()))
    for path in (Path(explain.__file__), Path(kconfiglib.__file__)):
        shutil.copy(path, conf)
    bound = tools.with_binds({SRC: source, WORK: work})
    asked = f"{bound.inside(WORK)}/conf/{ASKED}"
    make = f"make -s -C {bound.inside(SRC)} O={bound.inside(WORK)}/out {' '.join(tools.make)}"
    script = f"set -e; KCONFIG_ALLCONFIG={asked} {make} {flavour.base}"
    if flavour.base == TINY:
        # The tree's own list of what to leave out comes first; the rest stays off, too.
        script = (
            f"set -e; {make} {TINY}; cat {bound.inside(WORK)}/out/.config {asked} > {asked}.whole;"
            f" KCONFIG_ALLCONFIG={asked}.whole {make} allnoconfig"
        )
    run.logged(bound.argv(["sh", "-c", script]), log=log, step=STEP, env=bound.env({"ARCH": "x86_64"}))
    return prove(bound, requests, read_config((work / "out/.config").read_text()), log)
