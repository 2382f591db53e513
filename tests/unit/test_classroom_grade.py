# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeds, gradings that are kept, the gradebook and the archive, without machines."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import tinylabs
from klab.catalogue import Lab
from klab.classroom import (
    archive,
    ask,
    grade,
    gradebook,
    reach,
    results,
    seeds,
    signed,
)
from klab.classroom.model import Class
from klab.desk import record
from klab.errors import KlabError
from klab.lab.grade import Verdict
from klab.testing.observe import Observation


@pytest.fixture
def answers(tiny_class: Class, monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What each student wrote, by seat: None, nothing; a seat that is not in it does not answer."""
    wrote: dict[str, str | None] = {"c1-s01": "42", "c1-s02": "41"}

    def run(seat, script, **_):
        if seat.name not in wrote:
            raise KlabError("it did not answer")
        return "" if wrote[seat.name] is None else f"{tinylabs.ID}\nmy/own\n"

    def get(seat, lab, folder):
        (folder / "answer").write_text(f"{wrote[seat.name]}\n")
        return True

    monkeypatch.setattr(ask, "run", run)
    monkeypatch.setattr(grade.place, "get", get)
    return wrote


@pytest.fixture
def quick(answers, monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """The same, graded without the process of a grader."""

    def run(lab, work, *, seed, **_):
        said = (work / "answer").read_text().strip()
        seen = Observation("pass" if said == "42" else "fail", "the file answer holds the number", said, "42")
        return Verdict(seen.word, (seen,), seed, 0.1)

    monkeypatch.setattr(grade.grade, "run", run)
    return answers


def test_a_seed_belongs_to_a_student_and_a_lab_and_comes_again(tiny_class: Class) -> None:
    key = seeds.secret(tiny_class)
    many = {(who, lab): seeds.of(key, who, lab) for who in ("a", "b", "ab") for lab in ("c", "bc", "x/y")}
    assert len(set(many.values())) == len(many)
    assert all(0 <= seed < 1 << 31 for seed in many.values())
    assert seeds.secret(tiny_class) == key
    assert seeds.of(bytes(32), "student01", "tiny/answer") == 2010308684  # by openssl, too
    assert (tiny_class.state / "secret").stat().st_mode & 0o777 == 0o600


def test_a_damaged_secret_is_told_and_not_replaced(tiny_class: Class) -> None:
    seeds.secret(tiny_class)
    (tiny_class.state / "secret").write_bytes(b"short")
    with pytest.raises(KlabError, match="is damaged: 5 bytes instead of 32"):
        seeds.secret(tiny_class)
    assert (tiny_class.state / "secret").read_bytes() == b"short"


def test_only_what_is_new_is_graded(tiny_class: Class, tiny_lab: Lab, answers) -> None:
    first = grade.run(tiny_class, tiny_class.seats, [tiny_lab])
    assert {name[0]: found.word for name, found in first.fresh.items()} == {
        "c1-s01": "pass",
        "c1-s02": "fail",
    }
    key = seeds.secret(tiny_class)
    assert first.fresh["c1-s01", tiny_lab.id].seed == seeds.of(key, "student01", tiny_lab.id)
    answers["c1-s02"] = "42"
    second = grade.run(tiny_class, tiny_class.seats, [tiny_lab])
    assert list(second.kept) == [("c1-s01", tiny_lab.id)]
    assert second.fresh["c1-s02", tiny_lab.id].word == "pass"
    tiny_lab.grader.write_text(tiny_lab.grader.read_text() + "\n# another grader\n")
    assert len(grade.run(tiny_class, tiny_class.seats, [tiny_lab]).fresh) == 2
    assert len(grade.run(tiny_class, tiny_class.seats, [tiny_lab], fresh=True).fresh) == 2


def test_one_that_is_silent_keeps_its_grade_and_stops_nobody(tiny_class: Class, tiny_lab: Lab, quick) -> None:
    grade.run(tiny_class, tiny_class.seats, [tiny_lab])
    del quick["c1-s01"]
    quick["c1-s02"] = None
    done = grade.run(tiny_class, tiny_class.seats, [tiny_lab])
    assert list(done.failed) == ["c1-s01"]
    assert done.missing == [("c1-s02", tiny_lab.id)]
    book = gradebook.body(tiny_class, [tiny_lab], done.failed)
    assert book["failed"]["c1-s01"]["what"] == "it did not answer"
    assert book["seats"][0]["labs"][tiny_lab.id]["word"] == "pass"


def test_what_cannot_be_copied_is_told_of_that_lab_alone(
    tiny_class: Class, tiny_lab: Lab, quick, monkeypatch
) -> None:
    def get(seat, lab, folder):
        raise KlabError("it holds more than 64 MiB")

    grade.run(tiny_class, tiny_class.seats, [tiny_lab])
    monkeypatch.setattr(grade.place, "get", get)
    done = grade.run(tiny_class, tiny_class.seats, [tiny_lab])
    assert list(done.failed) == [f"c1-s01 {tiny_lab.id}", f"c1-s02 {tiny_lab.id}"]
    assert (results.work_dir(tiny_class, "c1-s01", tiny_lab.id) / "answer").read_text() == "42\n"


def test_no_two_gradings_at_once(tiny_class: Class, tiny_lab: Lab, quick) -> None:
    with (
        grade.lock.held(tiny_class.state / "grade.lock", "it"),
        pytest.raises(KlabError, match="already at work on the grading of class c1"),
    ):
        grade.run(tiny_class, tiny_class.seats, [tiny_lab])


@pytest.fixture
def book(tiny_class: Class, tiny_lab: Lab, quick, tmp_path: Path) -> Path:
    """A gradebook's folder."""
    grade.run(tiny_class, tiny_class.seats, [tiny_lab])
    gradebook.write(tiny_class, gradebook.body(tiny_class, [tiny_lab]), tmp_path / "book")
    return tmp_path / "book"


def public(tiny_class: Class) -> Path:
    return signed.signer(tiny_class).with_suffix(".pub")


@pytest.mark.parametrize("kind", ["json", "csv", "html"])
def test_a_change_of_one_byte_is_noticed(tiny_class: Class, book: Path, kind: str) -> None:
    path = book / f"gradebook.{kind}"
    assert gradebook.verify(path, public(tiny_class)) == ""
    data = path.read_bytes()
    for at in (0, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert "not what the class's key signed" in gradebook.verify(path, public(tiny_class))


def test_another_key_or_another_gradebooks_file_is_noticed(
    tiny_class: Class, tiny_lab: Lab, book: Path
) -> None:
    other = replace(tiny_class, name="c2")
    assert "another key" in gradebook.verify(book / "gradebook.json", public(other))
    old = (book / "gradebook.csv").read_bytes(), (book / "gradebook.csv.sig").read_bytes()
    later = gradebook.body(tiny_class, [tiny_lab])
    gradebook.write(tiny_class, {**later, "made": later["made"] + 60}, book)
    for name, data in zip(("gradebook.csv", "gradebook.csv.sig"), old, strict=True):
        (book / name).write_bytes(data)
    assert "do not belong together" in gradebook.verify(book / "gradebook.csv", public(tiny_class))
    (book / "gradebook.csv.sig").unlink()
    with pytest.raises(KlabError, match="is not there"):
        gradebook.verify(book / "gradebook.csv", public(tiny_class))


def test_the_gradebook_tells_all_that_a_grading_stands_on(
    tiny_class: Class, tiny_lab: Lab, book: Path
) -> None:
    entry = json.loads((book / "gradebook.json").read_text())["seats"][1]["labs"][tiny_lab.id]
    assert entry["word"] == "fail"
    assert entry["observations"][0]["observed"] == "41"
    assert entry["kernels"] == {"lab": ""}
    assert len(entry["files"]["answer"]) == len(entry["work"]) == len(entry["lab"]) == 64
    work = results.work_dir(tiny_class, "c1-s02", tiny_lab.id)
    (work / "answer").write_text("42\n")
    rows = csv.DictReader(io.StringIO(gradebook.as_csv(gradebook.body(tiny_class, [tiny_lab]), "d")))
    assert [row["word"] for row in rows] == ["pass", "fail (outdated)"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_name_is_a_formula(tiny_class: Class, tiny_lab: Lab, name: str) -> None:
    seat = replace(tiny_class.seats[0], student=replace(tiny_class.seats[0].student, name=name))
    text = gradebook.as_csv(gradebook.body(replace(tiny_class, seats=(seat,)), [tiny_lab]), "d")
    assert next(csv.DictReader(io.StringIO(text, newline="")))["name"] == f"'{name}"


def test_a_broken_grading_is_named(tiny_class: Class, tiny_lab: Lab, quick) -> None:
    grade.run(tiny_class, tiny_class.seats, [tiny_lab])
    (tiny_class.state / f"grades/c1-s01/{tiny_lab.id}.json").write_text("{}")
    with pytest.raises(KlabError, match="grading of tiny/answer on c1-s01 cannot be read"):
        results.all_of(tiny_class)


def test_an_archive_holds_all_but_secrets(
    tiny_class: Class, tiny_lab: Lab, book: Path, tmp_path: Path
) -> None:
    reach.private(reach.of(tiny_class, tiny_class.seats[0]).dir)
    record.checked(reach.of(tiny_class, tiny_class.seats[0]), tiny_lab.id, "pass", 1)
    results.work_dir(tiny_class, "c1-s01", f"{tiny_lab.id}.new").mkdir()
    (results.work_dir(tiny_class, "c1-s01", f"{tiny_lab.id}.new") / "half").write_text("")
    made = archive.make(tiny_class, gradebook.body(tiny_class, [tiny_lab]), tmp_path / "kept")
    assert made.path.stat().st_mode & 0o077 == 0
    with tarfile.open(made.path) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert f"work/c1-s02/{tiny_lab.id}/answer" in names
    assert f"grades/c1-s02/{tiny_lab.id}.json" in names
    assert "records/c1-s01/seat.json" in names
    assert not {"secret", "client", "signer"} & names
    assert not any("half" in name for name in names)
    assert archive.read_back(made.path, public(tiny_class)) == made.files == len(names) - 2
    assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]


def changed(path: Path, change) -> None:
    """Pack an archive anew, each (name, content) as `change` gives it, or not at all."""
    with tarfile.open(path) as tar:
        members = [(m.name, tar.extractfile(m).read()) for m in tar]
    with tarfile.open(path, "w:gz") as tar:
        for name, data in filter(None, map(change, members)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: None if m[0].endswith("/answer") else m, "answer is missing"),
        (lambda m: (m[0], m[1] + b"x") if m[0].endswith("/answer") else m, "answer is changed"),
        (lambda m: (f"{m[0]}2", m[1]) if m[0].endswith(".csv") else m, "gradebook.csv is missing"),
        (
            lambda m: (m[0], m[1].replace(b"a", b"b")) if m[0].endswith("SUMS") else m,
            "did not sign|key signed",
        ),
        (lambda m: None if m[0].endswith(".sig") and "SUMS" in m[0] else m, "key signed"),
    ],
)
def test_an_archive_that_is_not_whole_is_noticed(
    tiny_class: Class, tiny_lab: Lab, book: Path, change, why: str
) -> None:
    made = archive.make(tiny_class, gradebook.body(tiny_class, [tiny_lab]))
    changed(made.path, change)
    with pytest.raises(KlabError, match=why):
        archive.read_back(made.path, public(tiny_class))


def test_an_archive_that_was_cut_off_is_noticed(tiny_class: Class, tiny_lab: Lab, book: Path) -> None:
    made = archive.make(tiny_class, gradebook.body(tiny_class, [tiny_lab]))
    data = made.path.read_bytes()
    made.path.write_bytes(data[: len(data) // 2])
    with pytest.raises(KlabError, match="cannot be read to its end"):
        archive.read_back(made.path, public(tiny_class))


def test_a_seat_that_the_roster_has_no_more_is_archived(tiny_class: Class, tiny_lab: Lab, quick) -> None:
    quick["c1-s09"] = "9"
    without = replace(tiny_class, left=(("c1-s09", ""), ("c1-s08", ""), ("c1-s07", "")))
    for name in ("c1-s09", "c1-s08"):  # the third was never made, and has nothing to give
        reach.private(without.seat_dir(name)).joinpath("ssh_config").touch()
    assert list(archive.fetch_left(without, [tiny_lab])) == ["c1-s08"]
    made = archive.make(without, gradebook.body(without, [tiny_lab]))
    with tarfile.open(made.path) as tar:
        assert any(name.endswith(f"work/c1-s09/{tiny_lab.id}/answer") for name in tar.getnames())


def test_a_grading_of_one_seat_leaves_the_others_in_the_book(tiny_class: Class, tiny_lab: Lab, quick) -> None:
    assert gradebook.labs(tiny_class) == []
    grade.run(tiny_class, tiny_class.seats[:1], [tiny_lab])
    assert [lab.id for lab in gradebook.labs(tiny_class)] == [tiny_lab.id]
    book = gradebook.body(tiny_class, gradebook.labs(tiny_class))
    assert [seat["labs"][tiny_lab.id]["word"] for seat in book["seats"]] == ["pass", "not started"]


def test_what_was_graded_before_an_interruption_stays(
    tiny_class: Class, tiny_lab: Lab, quick, monkeypatch
) -> None:
    real, waited = grade.grade.run, []

    def run(lab, work, *, stop, **more):
        if (work / "answer").read_text() == "41\n" and not waited:
            waited.append(stop.wait(30))
        return real(lab, work, **more)

    def tell(text):
        if "pass" in text:
            raise KeyboardInterrupt

    monkeypatch.setattr(grade.grade, "run", run)
    with pytest.raises(KeyboardInterrupt):
        grade.run(tiny_class, tiny_class.seats, [tiny_lab], jobs=2, tell=tell)
    assert waited == [True]
    assert list(results.all_of(tiny_class)) == ["c1-s01"]
    assert list(grade.run(tiny_class, tiny_class.seats, [tiny_lab]).kept) == [("c1-s01", tiny_lab.id)]
