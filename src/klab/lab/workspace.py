# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's workspace: what the student edits, made from starter/, and checked when it comes back."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from klab import digest as digests
from klab.errors import KlabError
from klab.lab import seal
from klab.patching import git_apply

if TYPE_CHECKING:
    from klab.catalogue import Lab

STEP = "lab: workspace"
FILES = 2000  # of a workspace: labs have a dozen, their builds some hundred
BYTES = 64 << 20
README = "README.md"


def stage(lab: Lab, folder: Path, patch: Path | None = None) -> str:
    """Lay starter/ and the lab's text into the empty `folder`, `patch` applied; its digest.

    Raises KlabError when the patch does not apply exactly.
    """
    shutil.copytree(lab.starter, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    if (lab.folder / README).is_file():
        shutil.copyfile(lab.folder / README, folder / README)
    if patch:
        _apply(patch, folder)
    return digests.of_tree(folder)


def _apply(patch: Path, folder: Path) -> None:
    done = git_apply(folder, text=seal.text(patch))
    if done.returncode:
        raise KlabError(
            f"{patch} does not apply to starter/: {done.stderr.strip()}",
            step=STEP,
            mend=f"make it anew: diff -ruN a/ b/ with starter/ as a/, into {patch.name}",
        )


def check(folder: Path) -> None:
    """Refuse what no grader should touch: too much, devices, links that lead out.

    Raises KlabError that names the file.
    """
    inside = folder.resolve()
    size = 0
    for number, path in enumerate(sorted(folder.rglob("*")), 1):
        info = path.lstat()
        name = path.relative_to(folder)
        if stat.S_ISLNK(info.st_mode):
            target = path.resolve(strict=False)
            if not target.is_relative_to(inside):
                raise _refused(f"{name} is a link that leads out of it", f"replace {name} by a copy")
        elif not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
            raise _refused(f"{name} is neither a file nor a folder", f"rm {name}")
        size += info.st_size if stat.S_ISREG(info.st_mode) else 0
        if number > FILES:
            raise _refused(f"it holds more than {FILES} files", "make clean, and remove what is not yours")
        if size > BYTES:
            raise _refused(f"it holds more than {BYTES >> 20} MiB", "make clean, and remove big files")


def _refused(why: str, mend: str) -> KlabError:
    return KlabError(f"this workspace cannot be checked: {why}", step=STEP, mend=mend)


def copy(folder: Path, to: Path) -> Path:
    """A copy of a checked workspace that a build may write into."""
    shutil.copytree(folder, to, symlinks=True)
    return to
