# SPDX-License-Identifier: GPL-3.0-or-later
"""A class of three light seats with a course of one lab, and klab in a state of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from classroom import light
from fixtures import tinylabs
from klab.classroom import definition, reach
from klab.classroom.model import Class

COUNT = 3


@dataclass(frozen=True)
class Room:
    """Seats, and the class as klab knows it. folder: of the definition."""

    seats: list[light.Light]
    folder: Path
    class_: Class

    def reached(self, number: int) -> reach.Reached:
        """A seat, counted from 1."""
        return reach.of(self.class_, self.class_.seats[number - 1])

    def klab(self, *words: str, code: int = 0) -> dict[str, Any]:
        """What `klab class WORDS --json` answers; it must end with `code`."""
        argv = [sys.executable, "-m", "klab", "class", *words, "--class", str(self.folder), "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    def write(self, number: int, text: str) -> None:
        """The student of a seat writes the answer."""
        answer = f"/home/student/labs/{tinylabs.ID}/answer"
        self.seats[number - 1].run(f"cat >{answer}", text=f"{text}\n")


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """Three seats that answer, and what reaches them."""
    image = light.tree()
    tinylabs.lay_out(tmp_path, monkeypatch)
    monkeypatch.setenv("ANSIBLE_HOME", str(tmp_path / "ansible"))
    empty = light.course([])
    with light.world(COUNT, reach.client_key(empty).with_suffix(".pub"), disk=image) as seats:
        class_ = definition.load(light.define(tmp_path / "class", seats))
        for seat in class_.seats:
            reach.write(class_, seat)
        yield Room(seats, tmp_path / "class", class_)
