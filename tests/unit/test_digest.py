# SPDX-License-Identifier: GPL-3.0-or-later
"""The digest of a file is the SHA-256 that everybody else computes, sparse or not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from klab import digest

MIB = 1 << 20


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [(0, b"small")],
        [(0, b"x" * (3 * MIB + 5))],
        [(5 * MIB, b"after a hole")],
        [(0, b"head"), (7 * MIB + 4096, b"y" * MIB), (20 * MIB, b"")],
    ],
)
def test_holes_count_as_zeros(tmp_path: Path, pieces: list[tuple[int, bytes]]) -> None:
    path = tmp_path / "file"
    with path.open("wb") as stream:
        for at, data in pieces:
            stream.seek(at)
            stream.write(data)
            stream.truncate(at + len(data))
    assert digest.of_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()
