# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference pages of the course: catalogue, modules, learning paths, coverage with the last proofs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from klab.catalogue.model import Course, Lab, Module

NOT_YET = "not proved yet"
PROOFS = "docs/reference/data/proofs.json"


def pages(course: Course, repo: Path) -> dict[str, str]:
    """Each page's text by its name below docs/reference."""
    proofs = proved(repo)
    made = {
        "catalogue.md": "\n".join(_catalogue(course)),
        "paths.md": "\n".join(_paths(course)),
        "coverage.md": "\n".join(_coverage(course, proofs)),
    }
    for module in course.modules.values():
        made[f"modules/{module.id}.md"] = "\n".join(_module(course, module, proofs))
    return made


def proved(repo: Path) -> dict[str, Any]:
    """What `klab contract --write` has committed, by lab. Raises ValueError when it cannot be read."""
    path = repo / PROOFS
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _proof(lab: Lab, proofs: dict[str, Any]) -> str:
    known = proofs.get(lab.id)
    if not known:
        return NOT_YET
    kernel = f", kernel `{known['kernel']}`" if known["kernel"] else ""
    return f"{known['verdict']}, {known['date']}{kernel}, {known['wall_s']:.0f} s"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _folder(lab: Lab, up: str) -> str:
    return f"[{lab.name}]({up}/labs/{lab.id}/README.md)"


def _track(name: str, title: str) -> str:
    return f"Track {name}: {title}" if name.isdigit() else f"Capstone: {title}"


def _catalogue(course: Course) -> Iterator[str]:
    count = f"Modules: {len(course.modules)}, labs: {len(course.labs)}"
    yield from (
        "# Catalogue",
        "",
        f"{count}, in the order of `labs/course.yml`.",
        "What is covered and proved: [coverage](coverage.md). Which way to take: [learning paths](paths.md).",
    )
    for track in course.tracks.values():
        yield from ("", f"## {_track(track.id, track.title)}", "")
        yield from ("| module | hours | bullets with a lab | labs |", "|---|---|---|---|")
        for name in track.modules:
            module = course.modules[name]
            covered = {bullet for lab in module.labs for bullet in course.labs[lab].covers}
            labs = ", ".join(_folder(course.labs[lab], "../..") for lab in module.labs) or "none yet"
            yield (
                f"| [{_cell(module.title)}](modules/{name}.md) | {module.hours} "
                f"| {len(covered)} of {len(module.bullets)} | {labs} |"
            )


def _module(course: Course, module: Module, proofs: dict[str, Any]) -> Iterator[str]:
    labs = [course.labs[name] for name in module.labs]
    track = course.tracks[module.track]
    yield from (f"# {module.title}", "", f"{_track(track.id, track.title)}. About {module.hours} hours.", "")
    yield from ("| bullet | of the course | labs |", "|---|---|---|")
    for key, text in module.bullets.items():
        names = ", ".join(f"[{lab.name}](#{lab.name})" for lab in labs if key in lab.covers)
        yield f"| {key} | {_cell(text)} | {names or 'none yet'} |"
    for lab in labs:
        yield from ("", f"## {lab.name}", "", f"**{lab.title}.** {lab.goal}", "")
        place = "in a throw-away guest" if lab.where == "guest" else "on the student's machine"
        silent = f"; silent on {', '.join(lab.sanitize)}" if lab.sanitize else ""
        flavour = f"[{lab.kernel}](../flavours.md#{lab.kernel})"
        yield f"- {lab.minutes} minutes, level {lab.level} of 5, wave {lab.wave}; {len(lab.hints)} hints"
        yield f"- runs {place} on {flavour}{silent}"
        if lab.needs.symbols:
            yield f"- stands on {', '.join(f'`{name}`' for name in lab.needs.symbols)}"
        yield f"- wrong answers that must fail: {', '.join(path.stem for path in lab.wrongs)}"
        yield f"- last proof: {_proof(lab, proofs)}"
        yield f"- [the student's text](../../../labs/{lab.id}/README.md)"


def _paths(course: Course) -> Iterator[str]:
    yield from ("# Learning paths", "", "`klab path ID` shows one, `klab list path:ID` its labs.")
    for path in course.paths.values():
        yield from ("", f"## {path.title}", "", f"{path.why} (`path:{path.id}`)", "")
        for number, step in enumerate(path.steps, 1):
            names = ", ".join(f"[{course.modules[m].title}](modules/{m}.md)" for m in step.modules)
            yield f"{number}. {step.title}: {names}"


def _coverage(course: Course, proofs: dict[str, Any]) -> Iterator[str]:
    """Bullets by labs by proof; a bullet without a lab is a row, too."""
    green = sum(proofs.get(name, {}).get("verdict") == "green" for name in course.labs)
    yield from (
        "# Coverage",
        "",
        "Bullets of the course, the labs that cover them, and each lab's last proof: verdict, date,",
        "first digits of the kernel's digest, seconds. `klab contract --write` brings it up to date.",
        "",
        f"Labs: {len(course.labs)}, {green} of them green.",
    )
    for module in course.modules.values():
        labs = [course.labs[name] for name in module.labs]
        yield from ("", f"## {module.title}", "", "| bullet | lab | last proof |", "|---|---|---|")
        for key, text in module.bullets.items():
            mine = [lab for lab in labs if key in lab.covers]
            for lab in mine:
                yield f"| {key} {_cell(text)} | {_folder(lab, '../..')} | {_proof(lab, proofs)} |"
            if not mine:
                yield f"| {key} {_cell(text)} | none yet | - |"
