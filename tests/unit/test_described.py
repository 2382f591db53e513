# SPDX-License-Identifier: GPL-3.0-or-later
"""Data files against their schema, and the note that saves the second look."""

from pathlib import Path

import pytest

from klab import described
from klab.errors import KlabError

LAX = '{"type": "object"}'
STRICT = '{"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false}'


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in a checkout with a strict schema."""
    monkeypatch.setenv("KLAB_REPO", str(tmp_path / "repo"))
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    schema(tmp_path / "repo", STRICT)
    path = tmp_path / "repo/labs/some.yml"
    path.write_text("a: 1\n")
    return path


def schema(repo: Path, text: str) -> None:
    (repo / "labs/_schema").mkdir(parents=True, exist_ok=True)
    (repo / "labs/_schema/some.json").write_text(text)
    forget()


def forget() -> None:
    described._schema.cache_clear()
    described._rules.cache_clear()


def test_a_file_that_is_known_is_not_looked_at_again(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert described.read(data, "some", "test") == {"a": 1}
    monkeypatch.setattr(described, "_rules", lambda _: pytest.fail("it was looked at again"))
    assert described.read(data, "some", "test") == {"a": 1}


def test_another_text_is_looked_at(data: Path) -> None:
    described.read(data, "some", "test")
    data.write_text("a: 1\nb: 2\n")
    for _ in "twice":  # what was refused leaves no note
        with pytest.raises(KlabError, match=r"some.yml:2: b: "):
            described.read(data, "some", "test")


def test_another_schema_is_asked(data: Path, tmp_path: Path) -> None:
    data.write_text("b: 2\n")
    schema(tmp_path / "repo", LAX)
    described.read(data, "some", "test")
    schema(tmp_path / "repo", STRICT)
    with pytest.raises(KlabError, match="Additional properties"):
        described.read(data, "some", "test")


def test_a_file_elsewhere_leaves_no_note(data: Path, tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text("a: 1\n")
    described.read(tmp_path / "other.yml", "some", "test")
    assert not (tmp_path / "cache").exists()


def test_without_a_place_for_the_note_it_is_read_all_the_same(data: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert described.read(data, "some", "test") == {"a": 1}
