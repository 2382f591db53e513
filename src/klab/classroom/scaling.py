# SPDX-License-Identifier: GPL-3.0-or-later
"""How a class grows: what bench/class_scaling.py measured, as a page and as a picture."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from klab.paths import data_file

KEPT = "docs/reference/data/class_scaling.json"
KINDS = {
    "vms": "Machines of 512 MiB that klab makes, each going on from one template",
    "light": "Computers that are there already: ssh targets in network namespaces",
}
WIDTH, HEIGHT, EDGE = 640, 320, 56  # of the picture, in pixels
TICKS = 5

Rows = Sequence[Mapping[str, float]]  # {"seats", "open_s", "again_s", "memory_mib"}


def kept(repo: Path) -> dict[str, Any]:
    """What is committed: {kind: {"date", "rows"}}."""
    path = repo / KEPT
    return dict(json.loads(path.read_text())) if path.exists() else {}


def growth(rows: Rows, what: str) -> float:
    """By how much that grows with each seat: the slope of the line that fits best."""
    pairs = [(row["seats"], row[what]) for row in rows if what in row]
    if len(pairs) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*pairs, strict=True)).slope


def page(found: Mapping[str, Any]) -> Iterator[str]:
    """The lines of docs/reference/class-scaling.md."""
    yield from (
        "# A class grows",
        "",
        "Wall seconds of `playbooks/classroom_open.yml`, kernel, image and template in the cache, under",
        "emulation on two cores; and again, with nothing to do. Memory is the proportional set size of all",
        "QEMUs together, at rest.",
        "",
        "    .venv/bin/python bench/class_scaling.py --write",
    )
    for kind, title in KINDS.items():
        if kind not in found:
            continue
        rows: Rows = found[kind]["rows"]
        yield from ("", f"## {title}", "", f"{found[kind]['date']}.", "")
        yield from ("| seats | open s | again s | memory MiB |", "|---|---|---|---|")
        for row in rows:
            memory = f"{row['memory_mib']:.0f}" if "memory_mib" in row else ""
            yield f"| {row['seats']} | {row['open_s']:.1f} | {row['again_s']:.1f} | {memory} |"
        words = [f"{growth(rows, 'open_s'):.2f} s", f"{growth(rows, 'again_s'):.2f} s again"]
        if any("memory_mib" in row for row in rows):
            words.append(f"{growth(rows, 'memory_mib'):.0f} MiB")
        yield from ("", f"Each further seat: {', '.join(words)}.")
        yield from ("", f"![seconds by seats](class-scaling-{kind}.svg)")


def _ticks(most: float) -> list[float]:
    return [most * n / TICKS for n in range(TICKS + 1)]


def picture(rows: Rows) -> str:
    """Seconds by seats, as SVG: the first opening, and another with nothing to do."""
    far, high = max(row["seats"] for row in rows), max(row["open_s"] for row in rows)

    def place(seats: float, seconds: float) -> tuple[float, float]:
        across = EDGE + (WIDTH - 2 * EDGE) * seats / far
        return round(across, 1), round(HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * seconds / high, 1)

    lines = {
        what: [place(row["seats"], row[key]) for row in rows]
        for what, key in (("open", "open_s"), ("again", "again_s"))
    }
    text = data_file("classroom/scaling.svg.j2").read_text()
    shown = jinja2.Template(text, autoescape=True, trim_blocks=True).render(
        width=WIDTH,
        height=HEIGHT,
        edge=EDGE,
        lines=lines,
        across=[(place(x, 0)[0], f"{x:.0f}") for x in _ticks(far)],
        up=[(place(0, y)[1], f"{y:.0f}") for y in _ticks(high)],
    )
    return str(shown)
