# SPDX-License-Identifier: GPL-3.0-or-later
"""What several unit tests stand on."""

from pathlib import Path

import pytest

from fixtures import classes, places, tinylabs
from fixtures.sources import MAKEFILE, pack
from klab import catalogue
from klab.catalogue import Lab
from klab.classroom.model import Class
from klab.kernel import artefact


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """labs/_kernels of its own with linux.tar in it, this host's tools and an empty cache."""
    folder = tmp_path / "kernels"
    (folder / "patches").mkdir(parents=True)
    places.own(monkeypatch, tmp_path, folder)
    monkeypatch.delenv("KLAB_SOURCES", raising=False)
    pack(folder / "linux.tar", {"Makefile": MAKEFILE, "fs/ext4.c": "int ext4;\n"})
    return folder


@pytest.fixture
def tiny_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The only lab of a course; its kernel is not in the cache."""
    tinylabs.lay_out(tmp_path, monkeypatch)
    monkeypatch.setattr(artefact, "find", lambda name: None)
    return catalogue.load().labs[tinylabs.ID]


@pytest.fixture
def tiny_class(tiny_lab: Lab) -> Class:
    """A class of that course with two seats."""
    return classes.of(classes.existing(1, group="blue"), classes.existing(2))
