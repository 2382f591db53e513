# SPDX-License-Identifier: GPL-3.0-or-later
"""A grader builds the student's own files among those that the lab gave."""

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures import tinylabs
from klab import catalogue, sandbox
from klab.testing.workbench import Workbench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """The tiny lab as a student left it: the answer written, and a given file forged."""
    folder = tinylabs.lay_out(tmp_path, monkeypatch)
    (folder / "starter/given").mkdir()
    (folder / "starter/given/check.h").write_text("as it was\n")
    work = tmp_path / "work"
    (work / "given").mkdir(parents=True)
    (work / "given/check.h").write_text("forged\n")
    (work / "answer").write_text("42\n")
    (work / "notes").write_text("mine\n")
    spec = catalogue.load().labs[tinylabs.ID]
    return Workbench(spec, 1, random.Random(1), work, tmp_path / "builds")  # noqa: S311 - nothing secret


def files(bench: Workbench) -> dict[str, str]:
    folder = bench.workspace
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def test_what_is_not_the_students_is_the_starters_again(bench: Workbench) -> None:
    expected = {"answer": "42\n", "given/check.h": "as it was\n", "notes": "mine\n"}
    assert files(bench.restored()) == expected


def test_the_graders_files_go_beside_and_over_them(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "spy.c").write_text("spy\n")
    seen = files(bench.restored({"spy.c": tmp_path / "spy.c", "given/check.h": "drawn\n"}))
    assert (seen["spy.c"], seen["given/check.h"]) == ("spy\n", "drawn\n")


def test_a_link_in_a_files_place_leads_nowhere(bench: Workbench) -> None:
    target = bench.workspace / "given/check.h"
    target.unlink()
    target.symlink_to("../answer")
    seen = files(bench.restored())
    assert (seen["answer"], seen["given/check.h"]) == ("42\n", "as it was\n")


def test_the_workspace_stays_and_each_is_another(bench: Workbench) -> None:
    before = files(bench)
    one, other = bench.restored(), bench.restored()
    assert one.workspace != other.workspace
    assert one.builds != other.builds
    assert files(bench) == before


def test_the_same_files_are_built_once_where_builds_are_kept(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, places = [], []

    def make(folder: Path, flavour: str, target: str, *, objects: Path | None) -> object:
        places.append(objects)
        built.append((folder / "answer").read_text())
        (folder / "made.ko").write_text(built[-1])
        return SimpleNamespace(code=0, out="made\n", err="")

    kept = tmp_path / "kept"
    monkeypatch.setattr(sandbox, "make", make)
    monkeypatch.setattr(Workbench, "kernel", lambda *_: SimpleNamespace(digest="d"))
    first, second, third = (replace(bench, kept=kept, builds=tmp_path / f"{n}", _made={}) for n in range(3))
    assert [each.make().file("made.ko").read_text() for each in (first, second)] == ["42\n"] * 2
    assert second.make().log == "made\n"
    assert built == ["42\n"]
    (bench.workspace / "answer").write_text("41\n")
    assert third.make().file("made.ko").read_text() == "41\n"
    bench.make()
    assert built == ["42\n", "41\n", "41\n"]
    assert places == [kept / "objects", kept / "objects", None]
