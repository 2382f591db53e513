# SPDX-License-Identifier: GPL-3.0-or-later
"""Do solutions and wrong answers apply to starter/? A few calls of git for all labs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from klab.catalogue.model import Lab
from klab.errors import KlabError
from klab.lab import seal
from klab.patching import git_apply

STEP = "catalogue: check"
_OLD_NEW = re.compile(r"^(--- )a/(.*\n\+\+\+ (?:b/|/dev/null))|^(--- /dev/null\n)", re.MULTILINE)
_NEW = re.compile(r"^((?:--- .*)\n\+\+\+ )b/", re.MULTILINE)
_GIT = re.compile(r"^diff --git .*\n|^index .*\n", re.MULTILINE)
_TOUCHED = re.compile(
    r"^--- (?:a/(?P<old>[^\t\n]+)|/dev/null).*\n\+\+\+ (?:b/(?P<new>[^\t\n]+)|/dev/null)", re.MULTILINE
)


def touched(text: str) -> set[str]:
    """The files that a patch changes, by their names in starter/."""
    return {name for found in _TOUCHED.finditer(text) for name in found.groups() if name}


def _moved(text: str, folder: str) -> str:
    """The patch as one of the whole tree: its files lie in `folder`."""
    text = _OLD_NEW.sub(lambda m: f"{m[1]}a/{folder}/{m[2]}" if m[1] else m[3], _GIT.sub("", text))
    return _NEW.sub(lambda m: f"{m[1]}b/{folder}/", text)


def _refusal(patch: str, root: Path) -> str:
    """What git says against a patch; empty when it applies."""
    done = git_apply(root, ["--check"], text=patch)
    return done.stderr.strip() if done.returncode else ""


def closed(path: Path) -> bool:
    """Whether nobody here can tell what a patch says: it is sealed, and there is no key."""
    return seal.sealed(path) and not seal.key_named()


def check(labs: Iterable[Lab], root: Path) -> list[KlabError]:
    """Patches that do not apply, say no mistake, or change what the student does not edit."""
    found: list[KlabError] = []
    rows: list[list[tuple[Path, str]]] = []
    for lab in labs:
        row = []
        for path in [lab.solution, *lab.wrongs]:
            if not path.is_file() or closed(path):
                continue
            text = seal.text(path)
            found += _manners(lab, path, text)
            row.append((path, _moved(text, str(lab.starter.relative_to(root)))))
        rows.append(row)
    # The first patch of each lab, then the second: no file is changed twice in a call.
    for turn in itertools.zip_longest(*rows):
        found += _turn([patch for patch in turn if patch], root)
    return found


def _turn(turn: Sequence[tuple[Path, str]], root: Path) -> list[KlabError]:
    if not _refusal("".join(text for _, text in turn), root):
        return []
    return [
        KlabError(
            f"{path}:{_line(path, said)}: does not apply to starter/: {said}",
            step=STEP,
            mend="make it anew with diff -u from starter/ as a/",
        )
        for path, text in turn
        if (said := _refusal(text, root))
    ]


def _line(path: Path, said: str) -> int:
    """The hunk's line in the patch when git names the line of the file, else 1."""
    name = re.search(r"patch failed: .*:(\d+)$", said, re.MULTILINE)
    for number, line in enumerate(seal.text(path).splitlines(), 1):
        if name and line.startswith(f"@@ -{name[1]}"):
            return number
    return 1


def _manners(lab: Lab, path: Path, text: str) -> list[KlabError]:
    first = text.partition("\n")[0]
    bad = []
    if path != lab.solution and (not first.strip("# ") or first.startswith(("--- ", "diff "))):
        bad.append((f"{path}:1: does not say which mistake it is", "write it as its first line"))
    if not touched(text):
        bad.append((f"{path}:1: changes no file", "headers are --- a/FILE and +++ b/FILE"))
    for name in sorted(touched(text) - set(lab.workspace)):
        mend = f"name it under workspace in {lab.folder}/lab.yml, or leave it alone"
        bad.append((f"{path}:1: changes {name}, which is not in the lab's workspace", mend))
    return [KlabError(what, step=STEP, mend=mend) for what, mend in bad]
