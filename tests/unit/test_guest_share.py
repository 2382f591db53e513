# SPDX-License-Identifier: GPL-3.0-or-later
"""A shared folder: what goes in, and what may come out."""

from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.guest import share
from klab.guest.initramfs import DATA, PROGRAM


def test_plain_files_go_in(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/data").write_bytes(b"x")
    (tmp_path / "run").write_bytes(b"y")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "link").symlink_to("/etc/passwd")
    found = share.files(tmp_path)
    del found[share.PLACE]
    assert found == {f"{share.PLACE}/deep/data": (DATA, b"x"), f"{share.PLACE}/run": (PROGRAM, b"y")}


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "LIMIT", 3)
    (tmp_path / "big").write_bytes(b"1234")
    with pytest.raises(KlabError, match="holds more than"):
        share.files(tmp_path)


def test_changed_files_come_out(tmp_path: Path) -> None:
    assert share.write(tmp_path, {"a/b": b"1", "c": b"2"}) == ["a/b", "c"]
    assert (tmp_path / "a/b").read_bytes() == b"1"


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "link/out"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "link").symlink_to(tmp_path)
    with pytest.raises(KlabError, match="outside"):
        share.write(home, {"fine": b"", name: b""})
    assert list(tmp_path.iterdir()) == [home]
    assert not (home / "fine").exists()
