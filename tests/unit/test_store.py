# SPDX-License-Identifier: GPL-3.0-or-later
import os
from pathlib import Path

import pytest

from klab import store
from klab.errors import KlabError

DIGEST = "ab" * 32


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))


def publish(text: str = "content") -> store.Entry:
    with store.drafting("things", DIGEST) as draft:
        (draft.path / "file").write_text(text)
        return draft.publish({"flavour": "x"}, ["file"])


def cut_off(name: str, *, keep: bool) -> None:
    with store.drafting("things", DIGEST, keep=keep) as draft:
        (draft.path / name).write_text("half")
        raise RuntimeError


def test_an_entry_is_found_only_when_published() -> None:
    assert store.find("things", DIGEST) is None
    publish()
    entry = store.find("things", DIGEST)
    assert entry is not None
    assert entry.file("file").read_text() == "content"
    assert entry.manifest["flavour"] == "x"


def test_a_draft_that_was_cut_off_is_no_entry() -> None:
    with pytest.raises(RuntimeError):
        cut_off("file", keep=False)
    assert store.find("things", DIGEST) is None
    with store.drafting("things", DIGEST) as draft:
        assert list(draft.path.iterdir()) == []


def test_a_kept_draft_goes_on_where_it_stood() -> None:
    with pytest.raises(RuntimeError):
        cut_off("object.o", keep=True)
    with store.drafting("things", DIGEST, keep=True) as draft:
        assert (draft.path / "object.o").exists()


@pytest.mark.parametrize("spoil", ["content", "size", "gone", "manifest"])
def test_a_damaged_entry_is_moved_aside_and_never_used(spoil: str) -> None:
    path = publish().file("file")
    path.chmod(0o644)
    if spoil == "content":
        path.write_text("CONTENT")
        os.utime(path, ns=(0, 1))
    elif spoil == "size":
        path.write_text("longer content")
    elif spoil == "gone":
        path.unlink()
    else:
        (path.parent / store.MANIFEST).write_text("{")
    assert store.find("things", DIGEST) is None
    assert len(list(path.parent.parent.glob("*.damaged-*"))) == 1
    publish()
    assert store.find("things", DIGEST) is not None


def test_a_touched_file_with_the_same_bytes_is_whole() -> None:
    path = publish().file("file")
    os.utime(path, ns=(0, 1))
    assert store.find("things", DIGEST) is not None


def test_two_runs_at_once_are_told_apart() -> None:
    with store.drafting("things", DIGEST), pytest.raises(KlabError, match=f"pid {os.getpid()}"):
        publish()
