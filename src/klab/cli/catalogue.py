# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab list`, `show`, `path`, `new` and `catalogue`: the course and its labs, without a machine."""

from __future__ import annotations

from typing import Any

import click

from klab import catalogue
from klab.cli.verb import Outcome, verb
from klab.errors import KlabError
from klab.lab import seal
from klab.paths import tilde

group = click.Group()


def _brief(lab: catalogue.Lab) -> dict[str, Any]:
    return {
        "id": lab.id,
        "title": lab.title,
        "minutes": lab.minutes,
        "level": lab.level,
        "kernel": lab.kernel,
        "where": lab.where,
        "covers": lab.covers,
    }


@verb(group, "list")
@click.argument("words", nargs=-1)
def list_labs(words: tuple[str, ...]) -> Outcome:
    """List the course's labs; without WORDS its modules, too.

    WORDS choose: a lab, a module, track:ID, path:ID, changed:REF, all.

    Example: klab list track:1
    """
    course = catalogue.load()
    labs = catalogue.select(course, words or ("all",))
    lines: list[str] = []
    for track in course.tracks.values():
        part: list[str] = []
        for name in track.modules:
            module = course.modules[name]
            mine = [lab for lab in labs if lab.module == name]
            if mine or not words:
                part.append(f"  {name:<24} {module.title} ({module.hours} h)")
            part += [f"    {lab.name:<22} {lab.title} ({lab.minutes} min, level {lab.level})" for lab in mine]
        if part:
            lines += [f"Track {track.id}: {track.title}" if track.id.isdigit() else track.title, *part]
    return Outcome(False, "\n".join(lines), {"labs": [_brief(lab) for lab in labs]})


@verb(group, "show")
@click.argument("name", metavar="LAB|MODULE")
def show(name: str) -> Outcome:
    """Show a lab, or a module with its bullets and the labs that cover them.

    Example: klab show lkm-lifecycle
    """
    course = catalogue.load()
    if name in course.modules:
        return _module(course, course.modules[name])
    labs = catalogue.select(course, [name])
    if len(labs) != 1:
        raise KlabError(f"'{name}' is not one lab", step="catalogue: show", mend=f"klab list {name}")
    lab = labs[0]
    needs = lab.needs
    rows = {
        "goal": lab.goal,
        "takes": f"{lab.minutes} minutes, level {lab.level} of 5",
        "covers": ", ".join(f"{key} {course.modules[lab.module].bullets[key]}" for key in lab.covers),
        "runs on": f"kernel {lab.kernel}, {'a throw-away guest' if lab.where == 'guest' else 'the machine'}",
        "symbols": " ".join(needs.symbols),
        "command line": " ".join(needs.cmdline),
        "you edit": " ".join(lab.workspace),
        "hints": str(len(lab.hints)),
        "folder": tilde(lab.folder),
    }
    lines = [f"{lab.id}: {lab.title}", *(f"  {key + ':':<14}{text}" for key, text in rows.items() if text)]
    body = {**_brief(lab), "goal": lab.goal, "workspace": lab.workspace, "folder": lab.folder}
    return Outcome(False, "\n".join(lines), {"lab": body})


def _module(course: catalogue.Course, module: catalogue.Module) -> Outcome:
    labs = [course.labs[name] for name in module.labs]
    by = {key: [lab.name for lab in labs if key in lab.covers] for key in module.bullets}
    lines = [f"{module.id}: {module.title} ({module.hours} h)"]
    lines += [
        f"  {key:<4} {text}: {', '.join(by[key]) or 'no lab yet'}" for key, text in module.bullets.items()
    ]
    body = {"id": module.id, "title": module.title, "bullets": module.bullets, "labs": module.labs}
    return Outcome(False, "\n".join(lines), {"module": {**body, "covered": by}})


@verb(group, "path")
@click.argument("name", metavar="[ID]", default="")
def path(name: str) -> Outcome:
    """List the learning paths, or show the steps of one.

    Example: klab path observability
    """
    course = catalogue.load()
    if not name:
        lines = [f"{one.id:<22} {one.title}" for one in course.paths.values()]
        return Outcome(False, "\n".join(lines), {"paths": list(course.paths)})
    catalogue.select(course, [f"path:{name}"])  # refuses an unknown one, with a hint
    chosen = course.paths[name]
    lines = [f"{chosen.title}: {chosen.why}"]
    for step in chosen.steps:
        lines.append(f"  {step.title}")
        for module in step.modules:
            count = len(course.modules[module].labs)
            lines.append(f"    {module:<24} {course.modules[module].title}, labs: {count}")
    steps = [{"title": step.title, "modules": step.modules} for step in chosen.steps]
    return Outcome(
        False, "\n".join(lines), {"path": {"id": chosen.id, "title": chosen.title, "steps": steps}}
    )


@verb(group, "new")
@click.argument("name", metavar="MODULE/LAB")
@click.option(
    "--kind",
    type=click.Choice(["program", "module"]),
    default="program",
    show_default=True,
    help="What the student writes: a C program, or a kernel module.",
)
def new(name: str, kind: str) -> Outcome:
    """Write a new lab that already passes the catalogue's check, to be changed into yours.

    Example: klab new signals-ipc/my-lab --kind program
    """
    from klab.catalogue import scaffold  # noqa: PLC0415 - only authors pay for templates

    folder = scaffold.create(name, kind)
    message = f"{name}: {tilde(folder)}\nnow: klab catalogue check; klab contract {name}"
    return Outcome(True, message, {"folder": folder})


@group.group("catalogue")
def catalogue_group() -> None:
    """The catalogue of labs as a whole."""


@verb(catalogue_group, "check")
def check() -> Outcome:
    """Find all that is wrong with the catalogue, in seconds and without a machine.

    Example: klab catalogue check
    """
    from klab.catalogue import claims, patches  # noqa: PLC0415 - what listing labs need not know

    found = catalogue.check()
    if found:
        text = "\n".join(str(error) for error in found)
        return Outcome(False, f"{text}\nrefused: {len(found)}", {"errors": [e.as_dict() for e in found]}, 1)
    course = catalogue.load()
    lines = [f"clean: {len(course.modules)} modules, {len(course.labs)} labs, {len(course.paths)} paths"]
    left = claims.unproved(course)
    lines += [
        f"not told, for the kernel {name} is not in the cache: CONFIG_{', CONFIG_'.join(symbols)}"
        for name, symbols in left.items()
    ]
    closed = [path for lab in course.labs.values() for path in seal.answers(lab) if patches.closed(path)]
    lines += [f"not told, for it is sealed: {tilde(path)}" for path in closed]
    return Outcome(False, "\n".join(lines), {"errors": [], "untold": left, "sealed": closed})
