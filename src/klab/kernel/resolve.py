# SPDX-License-Identifier: GPL-3.0-or-later
"""From fragments to a .config, and the proof that every request survived."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import kconfiglib

from klab import run
from klab.errors import KlabError
from klab.kernel import explain
from klab.kernel.dotconfig import read_config
from klab.kernel.flavour import Built
from klab.kernel.fragment import Request, render
from klab.kernel.root import Toolroot, toolchains

STEP = "kernel_build: resolve config"
# Packages land beside the output folder, so what is bound is the folder around it.
SRC, WORK = "/klab/src", "/klab/work"
ASKED = "asked.config"
TINY = "tinyconfig"


def dropped(requests: Mapping[str, Request], config: Mapping[str, str]) -> dict[str, str]:
    """Requests whose value in the resolved config is another: {symbol: seen value}."""
    return {
        name: config.get(name, "n")
        for name, request in requests.items()
        if config.get(name, "n") != request.value
    }


def _runs(tools: Toolroot) -> Callable[[list[str]], str]:
    """How a program runs in a build root; it answers with what that printed."""

    def answer(argv: list[str]) -> str:
        env = {**os.environ, **tools.env(dict(word.split("=", 1) for word in tools.make))}
        done = subprocess.run(tools.argv(argv), capture_output=True, text=True, check=False, env=env)
        return done.stdout

    return answer


def _mend(tool: bool) -> str:
    if tool:
        known = ", ".join(toolchains())
        return f"give the flavour a toolchain that can ({known}: labs/_kernels/toolchain.yml), or take it out"
    return "add what is needed to a fragment of this flavour, or take the request out"


def prove(
    requests: Mapping[str, Request],
    config: Mapping[str, str],
    *,
    src: str,
    work: str,
    answer: Callable[[list[str]], str],
    log: Path | None = None,
) -> dict[str, Request]:
    """The requests, where an optional one that was dropped says what it became.

    src, work: where the tree and the folder of `prepare` stand for `answer`, which runs a
    program there and returns what it printed. Raises KlabError naming each other dropped
    symbol, its fragment and what it lacks.
    """
    gone = dropped(requests, config)
    lost = {name: seen for name, seen in gone.items() if not requests[name].optional}
    if not lost:
        return {name: replace(request, became=gone.get(name, "")) for name, request in requests.items()}
    asked = [f"{name}={requests[name].value}" for name in sorted(lost)]
    try:
        why = dict(
            json.loads(answer(["python3", f"{work}/conf/explain.py", src, f"{work}/out/.config", *asked]))
        )
    except ValueError:
        why = {}
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


def prepare(requests: Mapping[str, Request], work: Path) -> None:
    """Lay into `work` what `script` and `prove` need there."""
    conf = work / "conf"
    shutil.rmtree(conf, ignore_errors=True)
    conf.mkdir(parents=True)
    (work / "out").mkdir(exist_ok=True)
    (conf / ASKED).write_text(render(requests.values()))
    for path in (Path(explain.__file__), Path(kconfiglib.__file__)):
        shutil.copy(path, conf)


def script(base: str, *, src: str, work: str, make: Sequence[str] = ()) -> str:
    """The shell's words that write `work`/out/.config: the kernel's own Kconfig resolves."""
    asked = f"{work}/conf/{ASKED}"
    command = f"make -s -C {src} O={work}/out {' '.join(make)}"
    if base == TINY:
        # The tree's own list of what to leave out comes first; the rest stays off, too.
        return (
            f"set -e; {command} {TINY}; cat {work}/out/.config {asked} > {asked}.whole;"
            f" KCONFIG_ALLCONFIG={asked}.whole {command} allnoconfig"
        )
    return f"set -e; KCONFIG_ALLCONFIG={asked} {command} {base}"


def resolve(flavour: Built, tools: Toolroot, source: Path, work: Path, log: Path) -> dict[str, Request]:
    """Write `work`/out/.config for a flavour and prove it; returns the requests, some of
    which may have been dropped because they are optional.

    Raises KlabError before anything is compiled when a symbol was dropped.
    """
    requests = flavour.requests()
    prepare(requests, work)
    bound = tools.with_binds({SRC: source, WORK: work})
    src, inside = bound.inside(SRC), bound.inside(WORK)
    argv = bound.argv(["sh", "-c", script(flavour.base, src=src, work=inside, make=tools.make)])
    run.logged(argv, log=log, step=STEP, env=bound.env({"ARCH": "x86_64"}))
    config = read_config((work / "out/.config").read_text())
    return prove(requests, config, src=src, work=inside, answer=_runs(bound), log=log)
