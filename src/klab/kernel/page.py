# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reference/flavours.md: what each flavour is for, of what symbols, at what price."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from klab.kernel import estimate, fragment
from klab.kernel import flavour as flavours

NONE = "-"


def facts(repo: Path) -> dict[str, Any]:
    """What the page shows, read from the checkout `repo`."""
    folder = repo / "labs/_kernels"
    described = flavours.read(folder)
    costs = _costs(repo)
    labs = _labs(repo)
    shown = [
        {
            "name": name,
            "why": " ".join(body["why"].split()),
            "source": _source(body, described["sources"]),
            "toolchain": body.get("toolchain", "gcc") if "fragments" in body else NONE,
            "packages": ", ".join(f"`{package}`" for package in _packages(body)),
            "base": body.get("base", ""),
            "fragments": body.get("fragments", []),
            "cmdline": " ".join(body.get("cmdline", [])),
            "promises": body.get("promises", []),
            "labs": labs.get(name, []),
            "cost": _price(costs.get("flavours", {}).get(name)),
        }
        for name, body in described["flavours"].items()
    ]
    return {"flavours": shown, "fragments": list(_fragments(folder, shown)), "measured": costs}


def _costs(repo: Path) -> dict[str, Any]:
    path = repo / estimate.COSTS
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _price(cost: dict[str, Any] | None) -> dict[str, str]:
    if not cost:
        return {"cpu": NONE, "warm": NONE, "objects": NONE}
    warm = cost.get("warm_cpu_s")
    return {
        "cpu": f"{cost['cpu_s'] / 60:.1f}",
        "warm": f"{warm / 60:.1f} ({warm / cost['cpu_s']:.0%})" if warm else NONE,
        "objects": str(cost["objects"]),
    }


def _source(body: dict[str, Any], sources: dict[str, Any]) -> str:
    if "source" in body:
        source = sources[body["source"]]
        what = source.get("package") or Path(str(source.get("url", body["source"]))).name
        return f"{what} {source.get('version', '')}".strip()
    packages = body.get("packages", {})
    return f"Debian {packages.get('suite', '')}, {packages.get('version', '')}"


def _packages(body: dict[str, Any]) -> list[str]:
    names = body.get("packages", {}).get("names", [])
    return [str(name) for name in names]


def _labs(repo: Path) -> dict[str, list[str]]:
    """Labs by the flavour that their metadata names."""
    found: dict[str, list[str]] = {}
    for path in sorted(repo.glob("labs/*/*/lab.yml")):
        kernel = (yaml.safe_load(path.read_text()) or {}).get("kernel", [])
        for name in [kernel] if isinstance(kernel, str) else kernel:
            found.setdefault(str(name), []).append(path.parent.name)
    return found


def _fragments(folder: Path, shown: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    names = sorted({name for one in shown for name in one["fragments"]})
    for name in names:
        requests = fragment.parse(folder / "fragments" / f"{name}.config")
        groups = [
            {"reason": reason, "when": when, "symbols": " ".join(_symbol(one) for one in group)}
            for (reason, when), group in itertools.groupby(requests, key=lambda one: (one.reason, _when(one)))
        ]
        users = [one["name"] for one in shown if name in one["fragments"]]
        yield {"name": name, "users": users, "groups": groups}


def _when(request: fragment.Request) -> str:
    """The conditions of a request, in words."""
    lines = [f"from {request.since} on"] if request.since else []
    lines += [f"up to {request.until}"] if request.until else []
    asked = f" Only {', '.join(lines)}." if lines else ""
    return asked + (f" May be dropped: {request.optional}" if request.optional else "")


def _symbol(request: fragment.Request) -> str:
    return f"`{request.name}`" if request.value == "y" else f"`{request.name}={request.value}`"
