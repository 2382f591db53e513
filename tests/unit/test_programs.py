# SPDX-License-Identifier: GPL-3.0-or-later
"""What the loader of BPF programs says is read, kept and shown."""

from pathlib import Path

import pytest

from klab.kernel import programs

SAID = ["xdp: ran", "lsm: no, ENOENT: no: BTF", "[    1.0] random: crng init done", "tc: maybe", ""]
FOUND = {"release": "6.12.1", "kernel": "3f2a", "date": "2026-01-02", "programs": programs.parse(SAID)}


def test_only_the_loaders_lines_are_read() -> None:
    assert programs.parse(SAID) == {"xdp": "ran", "lsm": "no, ENOENT: no: BTF"}


def test_page_says_what_is_kept_and_what_was_not_tried() -> None:
    page = list(programs.page({"stock": FOUND}))
    assert "| type | lab | stock | rt | san | nobtf |" in page
    assert "| xdp | not tried | ran | not tried | not tried | not tried |" in page
    assert "| lsm | not tried | no | not tried | not tried | not tried |" in page
    assert page[-3:] == ["6.12.1, kernel `3f2a`, 2026-01-02.", "", "- lsm: no, ENOENT: no: BTF"]


def test_page_without_any_finding() -> None:
    assert sum("not tried |" in line for line in programs.page({})) == 1


def test_a_finding_is_kept_beside_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "repo_dir", lambda: tmp_path)
    assert programs.write("lab", FOUND)
    assert programs.write("rt", FOUND)
    assert not programs.write("rt", FOUND)
    assert list(programs.kept(tmp_path)) == ["lab", "rt"]
