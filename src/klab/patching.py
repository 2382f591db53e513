# SPDX-License-Identifier: GPL-3.0-or-later
"""`git apply` in a folder that is no part of a checkout: exactly as a patch stands, or not at all."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from klab.errors import KlabError


def git_apply(
    folder: Path, words: Sequence[str | Path] = (), *, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `git apply -p1 WORDS` in `folder`. text: the patch, else WORDS name it.

    Its exit status and words are the answer. Raises KlabError when there is no git.
    """
    # The ceiling keeps git from taking the folder for a part of a checkout around it, where it
    # would skip the files without a word.
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent), "LC_ALL": "C"}
    argv = [
        "git",
        "apply",
        "-p1",
        "--whitespace=nowarn",
        *map(str, words),
        *(["-"] if text is not None else []),
    ]
    try:
        return subprocess.run(
            argv, cwd=folder, env=alone, input=text, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise KlabError(f"cannot run git: {error.strerror}", step="patch", mend="klab doctor") from None
