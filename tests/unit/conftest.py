# SPDX-License-Identifier: GPL-3.0-or-later
"""What several unit tests stand on."""

from pathlib import Path

import pytest

from fixtures import places
from fixtures.sources import MAKEFILE, pack


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """labs/_kernels of its own with linux.tar in it, this host's tools and an empty cache."""
    folder = tmp_path / "kernels"
    (folder / "patches").mkdir(parents=True)
    places.own(monkeypatch, tmp_path, folder)
    monkeypatch.delenv("KLAB_SOURCES", raising=False)
    pack(folder / "linux.tar", {"Makefile": MAKEFILE, "fs/ext4.c": "int ext4;\n"})
    return folder
