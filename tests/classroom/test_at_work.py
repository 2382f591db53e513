# SPDX-License-Identifier: GPL-3.0-or-later
"""A class at work over real ssh: labs given and taken back, seen at a glance, graded, kept."""

from __future__ import annotations

import csv
import json
import tarfile
import time
from pathlib import Path

from fixtures import tinylabs
from klab import catalogue
from klab.classroom import seeds
from klab.desk import server, talk

LAB = tinylabs.ID


def words(said) -> list[str]:
    """The word of the lab on each seat."""
    return [row["labs"][LAB] for row in said["seats"]]


def test_labs_are_given_and_taken_back(room, monkeypatch, capsys) -> None:
    assert words(room.klab("status", code=0)) == ["new"] * 3
    assert room.klab("lab", "open", LAB)["changed"]
    assert not room.klab("lab", "open", LAB)["changed"]
    assert words(room.klab("status")) == ["started"] * 3
    room.write(2, "mine")

    room.klab("lab", "close", LAB, "--seat", "s02")
    assert [row["closed"] for row in room.klab("status")["seats"]] == [[], [LAB], []]
    monkeypatch.setattr(server.model, "get", lambda name: room.reached(2))
    for call in ("check answer", "start answer", "reset answer", "hint answer"):
        try:
            server.answer("it", read=lambda call=call: f"'' '' {call}\n")
        except SystemExit:
            text, _, code = capsys.readouterr().out.rpartition(talk.END)
        assert "your teacher has closed the lab" in text
        assert int(code) == 1
    room.klab("lab", "open", LAB, "--seat", "s02")
    assert "mine" in room.seats[1].run(f"cat /home/student/labs/{LAB}/answer")


def test_a_lab_that_has_changed_reaches_who_works_on_it(room) -> None:
    room.klab("lab", "open", LAB, "--seat", "s01", "--seat", "s02")
    room.write(1, "mine")
    lab = catalogue.load().labs[LAB].folder
    (lab / "README.md").write_text((lab / "README.md").read_text().replace("Text.", "Better text.", 1))
    (lab / "starter/Makefile").write_text("all:\n")
    place = f"/home/student/labs/{LAB}"
    assert room.klab("lab", "renew", LAB, "--check")["changed"]
    assert "Better" not in room.seats[0].run(f"cat {place}/README.md")
    names = {LAB: ["Makefile", "README.md"]}
    assert room.klab("lab", "renew", LAB)["renewed"] == {
        f"{room.class_.name}-{seat}": names for seat in ("s01", "s02")
    }
    assert room.seats[0].run(f"cat {place}/answer") == "mine\n"
    assert "Better" in room.seats[0].run(f"cat {place}/README.md")
    old = room.seats[0].run("cd /home/student/labs/.before-reset; find . -type f; cat */*/README.md")
    assert "README.md" in old
    assert "Better" not in old
    assert room.seats[0].run(f"stat -c %U {place}/Makefile") == "student\n"
    assert not room.klab("lab", "renew", LAB)["changed"]


def test_the_class_is_seen_at_a_glance(room, tmp_path: Path) -> None:
    room.klab("lab", "open", LAB, "--group", "g1")
    room.seats[1].stop()
    room.seats[2].fill()
    page = tmp_path / "class.html"
    began = time.monotonic()
    said = room.klab("status", "--html", str(page), code=1)
    assert time.monotonic() - began < 15
    first, second, third = said["seats"]
    assert [row["up"] for row in said["seats"]] == [True, False, True]
    assert words(said) == ["started", "new", "started"]
    assert second["silent"]
    assert first["health"]["free"] > 10
    assert first["active"] > time.time() - 600
    assert any("disk nearly full: 0 MiB" in note for note in third["notes"])
    text = page.read_text()
    assert 'http-equiv="refresh"' in text
    assert "2 of 3 seats answered" in text
    assert "<script" not in text


def test_what_is_said_is_shown_at_login(room) -> None:
    room.klab("say", "Ten minutes.\x1b[2J 'left' $(reboot)")
    shown = room.seats[0].run("su - student -c true")
    assert "From your teacher: Ten minutes.?[2J 'left' $(reboot)" in shown
    room.klab("say", "--clear")
    assert "teacher" not in room.seats[0].run("su - student -c true")


def test_grading(room, tmp_path: Path) -> None:
    room.klab("lab", "open", LAB)
    room.write(1, "42")
    room.write(2, "41 <b>bold</b>")
    room.seats[2].stop()
    folder = tmp_path / "grades"
    said = room.klab("grade", "--to", str(folder), code=1)
    assert (said["fresh"], said["kept"], list(said["errors"])) == (2, 0, ["light-s03"])
    book = json.loads((folder / "gradebook.json").read_text())
    one, two, three = (seat["labs"][LAB] for seat in book["seats"])
    assert (one["word"], two["word"], three["word"]) == ("pass", "fail", "not started")
    secret = seeds.secret(room.class_)
    assert [one["seed"], two["seed"]] == [seeds.of(secret, f"student0{n}", LAB) for n in (1, 2)]
    assert one["seed"] != two["seed"]
    assert one["files"]["answer"] != two["files"]["answer"]
    assert "number" in two["observations"][0]["what"]
    assert "<b>" not in (folder / "gradebook.html").read_text()
    assert words(room.klab("status", code=1)) == ["passed", "tried", "started"]

    room.seats[2].start()
    room.seats[2].wait()
    room.write(2, "42")
    said = room.klab("grade", "--to", str(folder))
    assert (said["fresh"], said["kept"]) == (2, 1)
    again = json.loads((folder / "gradebook.json").read_text())["seats"][0]["labs"][LAB]
    assert again == one
    assert room.klab("grade", "--to", str(folder), "--fresh")["fresh"] == 3
    rows = list(csv.DictReader((folder / "gradebook.csv").open()))
    assert [row["word"] for row in rows] == ["pass", "pass", "fail"]

    assert room.klab("verify", str(folder))["wrong"] == []
    for name, old, new in (("csv", "fail", "pass"), ("json", '"fail"', '"pass"'), ("html", "fail", "pass")):
        path = folder / f"gradebook.{name}"
        whole = path.read_text()
        path.write_text(whole.replace(old, new))
        assert room.klab("verify", str(path), code=1)["wrong"]
        path.write_text(whole)


def test_work_is_collected_and_archived(room, tmp_path: Path) -> None:
    room.klab("lab", "open", LAB)
    for number in (1, 2, 3):
        room.write(number, str(number))
    room.klab("collect", "--to", str(tmp_path / "work"), "--seat", "s01")
    assert (tmp_path / "work/light-s01" / LAB / "answer").read_text() == "1\n"
    assert not (tmp_path / "work/light-s02").exists()

    assert room.klab("grade")["fresh"] == 3
    room.seats[2].stop()
    said = room.klab("archive", "--to", str(tmp_path), code=1)
    assert not said["complete"]
    path = Path(said["archive"])
    with tarfile.open(path) as tar:
        names = {name.partition("/")[2]: name for name in tar.getnames()}
        # The one that is silent now was fetched before.
        answers = [tar.extractfile(names[f"work/light-s0{n}/{LAB}/answer"]).read() for n in (1, 2, 3)]
    assert answers == [b"1\n", b"2\n", b"3\n"]
    assert {"gradebook.json", "gradebook.csv", "records/light-s01/seat.json"} <= names.keys()
    assert "secret" not in " ".join(names)
    room.klab("verify", str(path))
    room.klab("archive", "--to", str(tmp_path), "--partial")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "is not whole" in room.klab("verify", str(path), code=1)["msg"]


def test_a_seat_in_whose_place_another_stands_is_refused(room) -> None:
    assert all(row["up"] for row in room.klab("status")["seats"])
    room.seats[0].new_host_key()
    room.seats[0].wait()
    first = room.klab("status", code=1)["seats"][0]
    assert "Host key verification failed" in first["silent"]


def test_a_student_who_answers_without_end_stops_nobody(room) -> None:
    assert catalogue.load().labs.keys() == {LAB}
    for number, name, does in ((0, "find", "yes"), (1, "df", "sleep 60")):
        liar = f"printf '#!/bin/sh\\nexec {does}\\n' >/usr/local/bin/{name}; chmod 755 /usr/local/bin/{name}"
        room.seats[number].run(liar)
    began = time.monotonic()
    seats = room.klab("status", code=1)["seats"]
    assert [row["up"] for row in seats] == [False, False, True]
    assert "sent more than 8 MiB" in seats[0]["silent"]
    assert time.monotonic() - began < 15
