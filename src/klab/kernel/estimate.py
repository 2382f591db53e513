# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a kernel build will take, from builds that were."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from klab import store
from klab.kernel import artefact, cached, kbuild
from klab.paths import repo_dir
from klab.progress import Progress, estimate_s, remember

# Steps in the history: from nothing, and in a tree that was kept.
FIRST, AGAIN = "kernel_build", "kernel_build again"
COSTS = "docs/reference/data/kernel_costs.json"


def progress(plan: artefact.Plan, *, fresh: bool, jobs: int) -> Progress:
    """The progress of a build, which begins by saying how long it will take and why.

    The count of objects is that of the flavour's last build, at first the flavour's own.
    """
    name = plan.flavour.name
    if not fresh:
        return Progress(
            "kernel_build", name, expected_s=estimate_s(AGAIN, name), basis="as past changes of it took"
        )
    costs = _costs()
    objects = next((count for flavour, count, _ in costs if flavour == name), plan.flavour.objects)
    if seconds := estimate_s(FIRST, name):
        return Progress("kernel_build", name, objects, expected_s=seconds, basis="as past builds of it took")
    if costs:
        rate = statistics.median(wall_s / count for _, count, wall_s in costs)
        basis = f"{objects} objects at {rate:.2f} s, measured here"
    elif per_object := _published():
        rate = per_object / min(jobs, os.cpu_count() or 1)
        basis = f"{objects} objects at {rate:.2f} s, measured elsewhere"
    else:
        return Progress("kernel_build", name, objects)
    return Progress("kernel_build", name, objects, expected_s=objects * rate, basis=basis)


def note(name: str, cost: kbuild.Cost) -> None:
    """Remember what a build took, for the estimate of the next of its sort."""
    if cost.resumed or cold(asdict(cost)):
        remember(AGAIN if cost.resumed else FIRST, name, cost.wall_s, cost.cpu_s)


def cold(cost: Mapping[str, Any]) -> bool:
    """Whether a build compiled nearly all of its objects."""
    return not cost.get("resumed") and int(cost.get("hits", 0)) * 10 < int(cost["objects"])


def _costs() -> list[tuple[str, int, float]]:
    """Flavour, objects and wall seconds of the builds from nothing in the cache, newest first."""
    manifests = [entry.manifest for entry in store.entries(cached.KIND)]
    return [
        (known["flavour"], int(cost["objects"]), float(cost["wall_s"]))
        for known in manifests
        if (cost := known.get("cost")) and cost.get("objects") and cold(cost)
    ]


def _published() -> float | None:
    """CPU seconds for an object, as measured when the documentation was made."""
    try:
        costs = json.loads((repo_dir() / COSTS).read_text())["flavours"].values()
        return float(statistics.median(cost["cpu_s"] / cost["objects"] for cost in costs))
    except (OSError, ValueError, KeyError, TypeError, statistics.StatisticsError):
        return None
