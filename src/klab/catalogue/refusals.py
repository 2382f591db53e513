# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be wrong with a catalogue, all of it, without a machine: files, lines and mends.

What a lab claims of its kernel is looked at in klab.catalogue.claims, its patches in
klab.catalogue.patches.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from klab.catalogue import claims, patches
from klab.catalogue.load import labs_dir, load
from klab.catalogue.model import Course, Lab, Module
from klab.described import line_of, read
from klab.errors import KlabError

STEP = "catalogue: check"
SECTIONS = ("Goal", "Background", "Steps", "Done", "Read on")
VERBS = ("start", "solve", "reset", "collect")
# What a lab's folder may hold; `grader` is for files that its grader brings along.
FILES = {"lab.yml", "README.md", "solution.patch", "test_outcome.py", "test_environment.py"}
FOLDERS = {"starter", "wrong", "tasks", "grader", "__pycache__"}


def wrong(path: Path, place: Iterable[Any], what: str, mend: str) -> KlabError:
    """An error at a place (keys and indexes) of a YAML file, or at the top of another file."""
    line = line_of(path.read_text(), tuple(place)) if path.suffix == ".yml" and path.is_file() else 1
    return KlabError(f"{path}:{line}: {what}", step=STEP, mend=mend)


def find(root: Path | None = None) -> list[KlabError]:
    """All that is wrong with the catalogue, in at most two seconds."""
    root = root or labs_dir()
    found: list[KlabError] = []
    try:
        course = load(root, found.append)
    except KlabError as error:
        return [error]
    found += _course(root, course)
    for module in course.modules.values():
        found += _module(module, course)
    for lab in course.labs.values():
        found += _folder(lab)
        found += _text(lab)
        found += claims.check(lab)
    found += _titles(course)
    found += patches.check(course.labs.values(), root)
    return found


def _course(root: Path, course: Course) -> Iterator[KlabError]:
    """Is course.yml the one list: of folders that are there, each once, and of no others?"""
    path = root / "course.yml"
    body = read(path, "course", STEP)
    listed: dict[str, str] = {}
    for number, track in enumerate(body["tracks"]):
        for name, labs in track["modules"].items():
            place = ("tracks", number, "modules", name)
            if name in listed:
                yield wrong(
                    path,
                    place,
                    f"module {name} is in track {listed[name]} already",
                    "leave it where it is learnt first",
                )
            listed[name] = str(track["id"])
            yield from _strays(root / name, {"module.yml"}, set(labs or ()))
    yield from _strays(root, {"course.yml"}, set(listed))
    for what in ("tracks", "paths"):
        ids = [str(one["id"]) for one in body.get(what, [])]
        for number, name in enumerate(ids):
            if name in ids[:number]:
                yield wrong(path, (what, number), f"{what}: the id {name} is there twice", "rename one")
    yield from _paths(path, body, set(listed))


def _paths(path: Path, body: dict[str, Any], modules: set[str]) -> Iterator[KlabError]:
    """A learning path leads through modules that exist, and never back."""
    for number, one in enumerate(body.get("paths", [])):
        seen: set[str] = set()
        for step, part in enumerate(one["steps"]):
            for index, name in enumerate(part["modules"]):
                place = ("paths", number, "steps", step, "modules", index)
                if name not in modules:
                    near = difflib.get_close_matches(name, modules, n=1)
                    mend = f"did you mean {near[0]}?" if near else "name a module of the tracks above"
                    yield wrong(path, place, f"path {one['id']}: there is no module {name}", mend)
                elif name in seen:
                    what = f"path {one['id']} is a circle: it comes to {name} a second time"
                    yield wrong(path, place, what, "leave it where it comes first")
                seen.add(name)


def _strays(folder: Path, files: set[str], folders: set[str]) -> Iterator[KlabError]:
    """What lies in a folder and is not named there. Names with a _ are klab's own."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        known = folders if path.is_dir() else files
        if path.name not in known and not path.name.startswith("_"):
            mend = "name it in labs/course.yml, or remove it" if path.is_dir() else "remove it"
            yield wrong(path, (), f"stray {'folder' if path.is_dir() else 'file'}", mend)


def _folder(lab: Lab) -> Iterator[KlabError]:
    """The files of a lab: those that must be there, and no others."""
    for path in sorted(lab.folder.iterdir()):
        if path.name not in (FOLDERS if path.is_dir() else FILES):
            yield wrong(path, (), f"stray {'folder' if path.is_dir() else 'file'} in a lab", "remove it")
    for path in sorted((lab.folder / "wrong").glob("*")):
        if path.suffix != ".patch":
            yield wrong(path, (), "stray file: wrong/ holds patches only", "remove it")
    for path in sorted((lab.folder / "tasks").glob("*")):
        if path.name not in {f"{verb}.yml" for verb in VERBS}:
            yield wrong(path, (), "stray file in tasks/", f"verbs are {', '.join(VERBS)}")
    spec = lab.folder / "lab.yml"
    for number, name in enumerate(lab.workspace):
        if not (lab.starter / name).is_file():
            what = f"workspace: starter/{name} does not exist"
            yield wrong(spec, ("workspace", number), what, "write it, even if it is empty")
    if not lab.grader.is_file():
        yield wrong(lab.grader, (), "no grader", "write it: docs/guide/author.md")
    if not lab.solution.is_file() and not lab.task("solve"):
        yield wrong(lab.solution, (), "no solution", "write solution.patch, or tasks/solve.yml")
    if not lab.wrongs:
        mend = "write wrong/NAME.patch: the mistake that a learner makes, which must fail"
        yield wrong(spec, (), "no wrong answer", mend)


def _text(lab: Lab) -> Iterator[KlabError]:
    """The student's text, and the metadata that no schema can judge."""
    path = lab.folder / "README.md"
    text = path.read_text() if path.is_file() else ""
    titles = re.findall(r"^## +(.+?) *$", text, re.MULTILINE)
    for section in SECTIONS:
        if section not in titles:
            yield wrong(path, (), f"no section '{section}'", f"write ## {section}")
    if not re.match(r"# \S", text):
        yield wrong(path, (), "no title", f"begin with # {lab.title}")
    spec = lab.folder / "lab.yml"
    for number, pattern in enumerate(lab.splats):
        try:
            re.compile(pattern)
        except re.error as error:
            yield wrong(spec, ("splats", number), f"not a regular expression: {error}", "mend it")


def _module(module: Module, course: Course) -> Iterator[KlabError]:
    """Bullets and the labs that cover them."""
    labs = [course.labs[name] for name in module.labs if name in course.labs]
    for lab in labs:
        for number, bullet in enumerate(lab.covers):
            if bullet not in module.bullets:
                what = f"covers {bullet}, which {module.id} does not have"
                yield wrong(lab.folder / "lab.yml", ("covers", number), what, "see its module.yml")
    covered = {bullet for lab in labs for bullet in lab.covers}
    for bullet in module.bullets:
        if module.complete and bullet not in covered:
            what = f"{bullet} is covered by no lab, and the module says it is complete"
            yield wrong(module.folder / "module.yml", ("bullets", bullet), what, "write one; complete: false")


def _titles(course: Course) -> Iterator[KlabError]:
    """Two labs or modules of one title cannot be told apart in a list."""
    seen: dict[str, str] = {}
    whole: list[tuple[str, str, Path]] = [
        *((one.title, one.id, one.folder / "module.yml") for one in course.modules.values()),
        *((one.title, one.id, one.folder / "lab.yml") for one in course.labs.values()),
    ]
    for title, name, path in whole:
        other = seen.setdefault(title.casefold(), name)
        if other != name:
            yield wrong(path, ("title",), f"'{title}' is the title of {other}, too", "say how they differ")
