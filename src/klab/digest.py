# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: the names under which artefacts are kept. Same inputs, same name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BLOCK = 1 << 20  # bytes read at a time
SHORT = 12  # hex digits that stand for a digest in uname, paths and tables


def of_data(data: Any) -> str:
    """SHA-256 (hex) of JSON-able data in canonical form."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes. Raises OSError when it cannot be read.

    The holes of a sparse file count as the zeros that they are, without being read.
    """
    total = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        if not stream.seekable() or size < BLOCK:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        zeros, block = bytes(BLOCK), bytearray(BLOCK)
        at = 0
        while at < size:
            data = _data_after(stream.fileno(), at, size)
            while at < data:
                total.update(zeros[: min(BLOCK, data - at)])
                at = min(at + BLOCK, data)
            hole = os.lseek(stream.fileno(), at, os.SEEK_HOLE) if at < size else size
            stream.seek(at)
            while at < hole:
                got = stream.readinto(memoryview(block)[: min(BLOCK, hole - at)])
                if not got:
                    return total.hexdigest()  # cut short while it was read
                total.update(memoryview(block)[:got])
                at += got
    return total.hexdigest()


def _data_after(number: int, at: int, size: int) -> int:
    """Where the data of an open file goes on; its size when only a hole is left."""
    try:
        return os.lseek(number, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size


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
