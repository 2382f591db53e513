# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordered patches on an unpacked source: exactly as they stand, or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from klab import digest as digests
from klab import run
from klab.errors import KlabError
from klab.kernel import root

STEP = "kernel_source: patch"
IN = "/klab/patches"  # where the folder of a patch stands inside the build root
_FILE = re.compile(r"^patching (?:symbolic link|file) '?(.+?)'?(?: \(.*\))?$")
_HUNK = re.compile(r"^Hunk #(\d+) FAILED at (\d+)")
_EXISTS = re.compile(r"^The next patch would create the file (.+),$")
_APPLIED = re.compile(r"^Reversed \(or previously applied\) patch detected")
_ABSENT = re.compile(r"^can't find file to patch")
_NAMED = re.compile(r"^\|\+\+\+ (?:b/)?(\S+)")
_BROKEN = re.compile(r"^patch: \*+ (.+)")


def digest(patches: Iterable[Path]) -> list[str]:
    """The SHA-256 of each patch, in order: a name or a place is not content.

    Raises KlabError for a patch that does not exist.
    """
    sums = []
    for path in patches:
        if not path.is_file():
            raise KlabError(
                f"there is no patch {path}", step=STEP, mend="write it, or mend the list of the source"
            )
        sums.append(digests.of_file(path))
    return sums


def _where(lines: list[str]) -> tuple[str, str]:
    """The file at which patch(1) stopped first, and why, from what it printed."""
    name = ""
    for number, line in enumerate(lines):
        if found := _FILE.match(line):
            name = found[1]
        elif found := _HUNK.match(line):
            return name, f"hunk {found[1]} does not fit (line {found[2]})"
        elif _APPLIED.match(line):
            return name, "its change is there already"
        elif found := _EXISTS.match(line):
            return found[1], "the file exists already"
        elif _ABSENT.match(line):
            # Its name follows, in the patch's own words.
            absent = next((n[1] for later in lines[number:] if (n := _NAMED.match(later))), name)
            return absent, "there is no such file"
    broken = next((found[1] for line in lines if (found := _BROKEN.match(line))), "")
    return name, broken or ("patch does not say why" if lines else "it is empty")


def apply(patches: Iterable[Path], tree: Path, tools: root.Toolroot, inside: str, log: Path) -> None:
    """Apply the patches to `tree` (seen as `inside`), each without fuzz, in order.

    What was patched gets the age of the tree's Makefile, by which a kernel is dated: two
    unpackings are alike. Raises KlabError naming the patch, the file and the hunk.
    """
    age = (tree / "Makefile").stat().st_mtime_ns
    touched: set[str] = set()
    for path in patches:
        said: list[str] = []
        bound = tools.with_binds({IN: path.parent})
        argv = ["patch", "-p1", "--fuzz=0", "--forward", "--batch", "--no-backup-if-mismatch"]
        argv += [f"--directory={inside}", f"--input={bound.inside(IN)}/{path.name}"]
        try:
            env = bound.env({"LC_ALL": "C"})
            run.logged(bound.argv(argv), log=log, step=STEP, env=env, on_line=said.append, append=True)
            if not said:  # patch(1) takes an empty file for success
                raise KlabError("nothing was patched", step=STEP)
        except KlabError as error:
            file, why = _where(said)
            raise KlabError(
                f"the patch {path.name} does not apply to {file or 'the source'}: {why}",
                step=STEP,
                log=log,
                mend=f"make {path} anew for this version of the source, or take it out of the source's list",
            ) from error
        touched.update(found[1] for line in said if (found := _FILE.match(line)))
    for name in touched:
        if (tree / name).is_file():
            os.utime(tree / name, ns=(age, age))
