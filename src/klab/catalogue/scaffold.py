# SPDX-License-Identifier: GPL-3.0-or-later
"""A new lab from templates in klab/data/new: small, whole, and clean to the catalogue's check."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import jinja2
import yaml

from klab.catalogue.load import labs_dir, load
from klab.errors import KlabError
from klab.paths import data_file

STEP = "catalogue: new"
KINDS = ("program", "module")
_ID = re.compile(r"[a-z][a-z0-9-]*/[a-z][a-z0-9]*(-[a-z0-9]+)*")
MISTAKES = {
    "program": ("begins-at-zero", "Begins at 0, so that numbers below zero are never the greatest."),
    "module": ("int-overflows", "Doubles an int, which overflows."),
}


def _checked(name: str, root: Path) -> None:
    module, _, lab = name.partition("/")
    course = load(root)
    if not _ID.fullmatch(name):
        mend = "say MODULE/LAB in small letters, digits and dashes"
        raise KlabError(f"'{name}' cannot be a lab's id", step=STEP, mend=mend)
    if module not in course.modules:
        near = difflib.get_close_matches(module, course.modules, n=1)
        mend = f"did you mean {near[0]}/{lab}?" if near else "klab list shows the modules"
        raise KlabError(f"there is no module '{module}'", step=STEP, mend=mend)
    if name in course.labs or (root / name).exists():
        raise KlabError(f"the lab {name} is there already", step=STEP, mend="choose another name")


def create(name: str, kind: str, root: Path | None = None) -> Path:
    """Write the lab `module/lab` and name it in course.yml; its folder.

    Raises KlabError for an id that is none, an unknown module, a lab that exists.
    """
    root = root or labs_dir()
    _checked(name, root)
    short = name.partition("/")[2]
    facts = {
        "kind": kind,
        "name": short,
        "ident": short.replace("-", "_"),
        "title": f"{short.replace('-', ' ').capitalize()}, a new lab",
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_file("new")),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - C, Python and Markdown, not HTML
    )

    def made(template: str, answer: str = "") -> str:
        return environment.get_template(template).render(**facts, answer=answer)

    source = f"{facts['ident']}.c"
    begin, solution, mistake = (
        made(f"{kind}/source.c.j2", answer) for answer in ("starter", "solution", "wrong")
    )
    wrong, says = MISTAKES[kind]
    files = {
        "lab.yml": made("lab.yml.j2"),
        "README.md": made("README.md.j2"),
        "test_outcome.py": made(f"{kind}/test_outcome.py.j2"),
        "starter/Makefile": made(f"{kind}/Makefile.j2"),
        f"starter/{source}": begin,
        "solution.patch": patch(source, begin, solution),
        f"wrong/{wrong}.patch": f"{says}\n{patch(source, begin, mistake)}",
    }
    for path, text in files.items():
        (root / name / path).parent.mkdir(parents=True, exist_ok=True)
        (root / name / path).write_text(text)
    _name(root / "course.yml", name)
    return root / name


def patch(name: str, old: str, new: str) -> str:
    """A -p1 patch of one file, as diff -u writes it."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(lines)


def _name(path: Path, name: str) -> None:
    """Add the lab at the end of its module's list; all else in the file stays as it is."""
    module, _, lab = name.partition("/")
    text = path.read_text()
    whole = yaml.compose(text, Loader=yaml.SafeLoader)
    for track in _child(whole, "tracks").value:
        modules = _child(track, "modules")
        if module not in [key.value for key, _ in modules.value]:
            continue
        labs = _child(modules, module)
        if labs.flow_style:
            end = labs.end_mark.index - 1
            path.write_text(f"{text[:end].rstrip()}{', ' if labs.value else ''}{lab}{text[end:]}")
        else:
            end = labs.value[-1].end_mark.index
            indent = " " * labs.start_mark.column
            path.write_text(f"{text[:end]}\n{indent}- {lab}{text[end:]}")


def _child(node: Any, key: str) -> Any:
    return next(value for name, value in node.value if name.value == key)
