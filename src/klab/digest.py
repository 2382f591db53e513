# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: the names under which artefacts are kept. Same inputs, same name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SHORT = 12  # hex digits that stand for a digest in uname, paths and tables


def of_data(data: Any) -> str:
    """SHA-256 (hex) of JSON-able data in canonical form."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes. Raises OSError when it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_tree(root: Path, *, skip: Iterable[str] = ("__pycache__",)) -> str:
    """SHA-256 (hex) over names, modes and bytes of all files below `root`."""
    left_out = set(skip)
    files = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not left_out & set(path.relative_to(root).parts):
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            files[str(path.relative_to(root))] = [mode, of_file(path)]
    return of_data(files)


def short(digest: str) -> str:
    """The first digits of a digest, enough for people and for `uname -v`."""
    return digest[:SHORT]
