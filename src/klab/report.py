# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a run in a dozen lines: what there is, what it cost, how to get in."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from klab import store
from klab.digest import short
from klab.machine import state
from klab.machine.model import Machine
from klab.paths import log_dir, tilde
from klab.progress import human

STARTING = 5.0  # seconds between the start of a run and its first stage


@dataclass(frozen=True)
class Stages:
    """The stages of the present run, or of the last one, as klab's callback notes them."""

    names: list[tuple[str, float]]
    began: float  # seconds since 1970; what was made later was made by this run


def stages() -> Stages:
    """The stages in the log folder; none, and everything old, when no playbook ran."""
    note = log_dir() / "stages.json"
    try:
        listed = [(str(s["name"]), float(s["wall_s"])) for s in json.loads(note.read_text())["stages"]]
        written = note.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        return Stages([], time.time())
    return Stages(listed, written - sum(wall for _, wall in listed) - STARTING)


def made(at: float, began: float, wall_s: float | None = None) -> str:
    """`made now in 12 min`, or `reused, made on …`."""
    if at >= began:
        return f"made now in {human(wall_s)}" if wall_s else "made now"
    return f"reused, made on {time.strftime('%F %H:%M', time.localtime(at))}"


def _part(kind: str, digest: str, began: float) -> str:
    """An artefact's short digest and whether it was made now or reused."""
    entry = store.find(kind, digest) if digest else None
    if entry is None:
        return f"{short(digest)}, not from the cache" if digest else "unknown"
    wall_s = entry.manifest.get("wall_s") or (entry.manifest.get("cost") or {}).get("wall_s")
    at = (entry.path / store.MANIFEST).stat().st_mtime
    return f"{short(digest)}, {made(at, began, wall_s)}"


def facts(machine: Machine) -> dict[str, Any]:
    """The report as data: what is shown, in its order."""
    run = stages()
    kernel, image = machine.kernel, machine.image
    name = kernel.get("release") or "kernel"
    flavour = f", flavour {kernel['flavour']}" if kernel.get("flavour") else ""
    snapshot = (
        f"; ready since {time.strftime('%F %H:%M', time.localtime(machine.ready))}" if machine.ready else ""
    )
    size = f"{state.of(machine)}, {machine.cpus} CPUs, {machine.memory} MiB"
    body = {
        "machine": f"{machine.name}, {size}; {made(machine.created, run.began)}{snapshot}",
        "kernel": f"{name}{flavour}; {_part('kernels', kernel.get('digest', ''), run.began)}",
        "image": _part("images", image.get("digest", ""), run.began),
        "accelerator": f"{machine.accel}: {machine.accel_reason}",
        "log in": state.facts(machine)["ssh"],
        "debug": f"gdb: target remote 127.0.0.1:{machine.gdb_port}",
        "stages": ", ".join(f"{stage} {human(wall)}" for stage, wall in run.names) or "no playbook ran",
        "logs": tilde(log_dir()),
        "console": tilde(machine.console),
    }
    return body


def text(body: dict[str, Any]) -> str:
    """The report for people."""
    width = max(map(len, body))
    return "\n".join(f"{key:<{width}}  {value}" for key, value in body.items())
