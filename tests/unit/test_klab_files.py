# SPDX-License-Identifier: GPL-3.0-or-later
"""The module klab_files: many small files, in one round trip, changed only when they differ."""

from __future__ import annotations

import getpass
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from klab.paths import repo_dir


@pytest.fixture(scope="module")
def module() -> Any:
    path = repo_dir() / "plugins/modules/klab_files.py"
    spec = importlib.util.spec_from_file_location("klab_files", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(module: Any) -> Any:
    def call(
        *files: dict[str, Any], check: bool = False, accounts: Sequence[str] = (), pending: Path | None = None
    ) -> dict[str, Any]:
        items = [{"owner": getpass.getuser(), **item} for item in files]
        given = {"files": items, "accounts": [*accounts], "pending": pending and str(pending)}
        return dict(module.run({**given, "_ansible_check_mode": check}))

    return call


def items(folder: Path) -> list[dict[str, str]]:
    return [
        {"path": str(folder / "deep/file"), "content": "text\n", "mode": "0640"},
        {"path": str(folder / "link"), "state": "link", "content": "/dev/null"},
        {"path": str(folder / "folder"), "state": "directory", "mode": "0700"},
        {"path": str(folder / "gone"), "state": "absent"},
    ]


def test_all_is_put_in_place_and_a_second_run_changes_nothing(tmp_path: Path, run: Any) -> None:
    (tmp_path / "gone").write_text("")
    first = run(*items(tmp_path))
    assert first["changed"]
    assert len(first["paths"]) == 4
    assert (tmp_path / "deep/file").read_text() == "text\n"
    assert (tmp_path / "deep/file").stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "link").readlink() == Path("/dev/null")
    assert (tmp_path / "folder").stat().st_mode & 0o7777 == 0o700
    assert not (tmp_path / "gone").exists()
    assert not run(*items(tmp_path))["changed"]


def test_check_mode_tells_and_does_nothing(tmp_path: Path, run: Any) -> None:
    told = run(*items(tmp_path), check=True)
    assert told["changed"]
    assert list(tmp_path.iterdir()) == []


def test_a_link_gives_way_to_a_file_and_its_target_stays(tmp_path: Path, run: Any) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "path").symlink_to(target)
    assert run({"path": str(tmp_path / "path"), "content": "own"})["changed"]
    assert target.read_text() == "precious"
    assert (tmp_path / "path").read_text() == "own"
    assert not (tmp_path / "path").is_symlink()


def test_a_diff_shows_what_was_and_what_is(tmp_path: Path, run: Any) -> None:
    (tmp_path / "path").write_text("old\n")
    diff = run({"path": str(tmp_path / "path"), "content": "new\n"})["diff"][0]
    assert (diff["before"], diff["after"]) == ("old\n", "new\n")


def test_a_path_that_cannot_be_is_named(tmp_path: Path, run: Any) -> None:
    (tmp_path / "file").write_text("")
    told = run({"path": str(tmp_path / "file/below"), "content": "x"})
    assert told["failed"]
    assert str(tmp_path / "file/below") in told["msg"]


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"path": "relative"}, "relative: no absolute path"),
        ({"path": "/x", "contents": "typo"}, "/x: no such option: contents"),
        ({"path": "/x", "state": "dir"}, "/x: state is none of file, lines, link, directory, absent"),
        ({"path": "/x", "owner": "nobody-of-that-name"}, "/x: there is no user nobody-of-that-name"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Any, item: dict[str, str], why: str) -> None:
    assert run(item) == {"failed": True, "msg": why} | ({"paths": []} if "owner" in item else {})


def test_lines_join_those_that_are_there(tmp_path: Path, run: Any) -> None:
    keys = tmp_path / "keys"
    item = {"path": str(keys), "state": "lines", "content": "mine\nours\n", "mode": "0600"}
    assert run(item)["changed"]
    assert keys.read_text() == "mine\nours\n"
    keys.write_bytes(b"old \xff\nours")
    told = run(item, check=True)
    assert told["diff"][0]["after"].endswith("ours\nmine\n")
    assert keys.read_bytes() == b"old \xff\nours"
    assert run(item)["changed"]
    assert keys.read_bytes() == b"old \xff\nours\nmine\n"
    assert not run(item)["changed"]


def test_nothing_is_put_where_an_account_is_otherwise(
    tmp_path: Path, run: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "student:x:1000:1000:Student:/home/student:/bin/bash"
    for name, text in {"ACCOUNTS": f"{line}\n", "PASSWORDS": "student:*:20000::::::\n"}.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(module, name, tmp_path / name)
    file = {"path": str(tmp_path / "file"), "content": "text\n"}
    for wrong in (
        {"ACCOUNTS": line.replace("bash", "sh")},
        {"ACCOUNTS": ""},
        {"PASSWORDS": "student:$y$j9T$:20000::::::\n"},
    ):
        kept = {name: (tmp_path / name).read_text() for name in wrong}
        for name, text in wrong.items():
            (tmp_path / name).write_text(text)
        said = run(file, accounts=[line])
        assert (said["changed"], said["lacks"]) == (False, [line])
        assert not (tmp_path / "file").exists()
        for name, text in kept.items():
            (tmp_path / name).write_text(text)
    assert run(file, accounts=[line])["changed"]


def test_what_is_not_in_force_stays_pending(tmp_path: Path, run: Any) -> None:
    mark = tmp_path / "state/pending"
    key = {"path": str(tmp_path / "key"), "content": "key\n", "live": True}
    file = {"path": str(tmp_path / "file"), "content": "text\n"}
    assert not run(key, pending=mark)["pending"]
    assert run(key, file, check=True, pending=mark)["pending"]
    assert not mark.exists()
    assert run(key, file, pending=mark)["pending"]
    again = run(key, file, pending=mark)
    assert (again["changed"], again["pending"]) == (False, True), "nobody has put it in force"
    mark.unlink()
    assert not run(key, file, pending=mark)["pending"]


def test_the_mark_is_there_before_the_first_change(tmp_path: Path, run: Any) -> None:
    (tmp_path / "no-folder").write_text("")
    said = run({"path": str(tmp_path / "no-folder/file"), "content": "text\n"}, pending=tmp_path / "pending")
    assert said["failed"]
    assert (tmp_path / "pending").exists()
