# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose labs by words: a lab, its bare name, a module, track:ID, path:ID, changed:REF, all."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Sequence

from klab.catalogue.load import labs_dir
from klab.catalogue.model import Course, Lab
from klab.errors import KlabError

STEP = "catalogue: choose"


def select(course: Course, words: Sequence[str]) -> list[Lab]:
    """The labs that the words mean, in the course's order. Raises KlabError for a word that means none."""
    chosen: set[str] = set()
    for word in words:
        chosen |= _meant(course, word)
    return [lab for name, lab in course.labs.items() if name in chosen]


def _meant(course: Course, word: str) -> set[str]:
    kind, _, value = word.partition(":")
    modules: tuple[str, ...] = ()
    chosen: set[str] = set()
    if word in course.labs:
        return {word}
    if word == "all":
        modules = tuple(course.modules)
    elif word in course.modules:
        modules = (word,)
    elif kind == "track" and value in course.tracks:
        modules = course.tracks[value].modules
    elif kind == "path" and value in course.paths:
        modules = tuple(name for step in course.paths[value].steps for name in step.modules)
    elif kind == "changed" and value:
        return _changed(course, value)
    else:
        chosen = {lab.id for lab in course.labs.values() if lab.name == word}
    if len(chosen) > 1:
        raise KlabError(
            f"'{word}' is a lab of more than one module",
            step=STEP,
            mend=f"say one of {', '.join(sorted(chosen))}",
        )
    if modules or chosen:
        return chosen | {lab for module in modules for lab in course.modules[module].labs}
    known = [*course.labs, *(lab.name for lab in course.labs.values()), *course.modules]
    known += [f"track:{track}" for track in course.tracks] + [f"path:{path}" for path in course.paths]
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise KlabError(f"there is no lab, module, track or path '{word}'", step=STEP, mend=f"{hint}klab list")


def _changed(course: Course, ref: str) -> set[str]:
    """Labs with a file that differs from the commit, committed or not."""
    root = labs_dir()
    argv = ["git", "-C", str(root), "diff", "--name-only", "--relative", ref, "--", "."]
    untracked = ["git", "-C", str(root), "ls-files", "--others", "--exclude-standard"]
    names: list[str] = []
    for command in (argv, untracked):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KlabError(
                f"git cannot compare with {ref}: {done.stderr.strip()}",
                step=STEP,
                mend="name a commit or a branch that is here: git fetch",
            )
        names += done.stdout.splitlines()
    return {lab for lab in course.labs if any(name.startswith(f"{lab}/") for name in names)}
