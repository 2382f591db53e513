# SPDX-License-Identifier: GPL-3.0-or-later
"""What a seat's answer means, and how a class is shown."""

from __future__ import annotations

import html.parser
from dataclasses import replace

import pytest

from klab.catalogue import Lab
from klab.classroom import (
    ask,
    health,
    message,
    reach,
    results,
    status,
)
from klab.classroom.model import Class
from klab.desk import record
from klab.errors import KlabError
from klab.kernel import artefact

LOG = "[   12.345678] BUG: KASAN: slab-use-after-free in it+0x1/0x2\n[   13.000000] all is well\n"
DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/my disk 100 40 52224 44% /\n"
SAID = f"6.12.0-klab-lab\n99.5 0.25\n{DF}1700000000.5\n1600000000.1\n--\n{LOG}"


def test_what_a_seat_says_of_itself() -> None:
    seen = health.parse("s", SAID)
    assert (seen.release, seen.uptime, seen.load, seen.free) == ("6.12.0-klab-lab", 99.5, 0.25, 51)
    assert seen.active == 1700000000
    assert seen.splats == ("kasan",)
    assert health.parse("s", SAID.removesuffix(LOG)).splats is None
    assert health.parse("s", SAID.replace("6.12.0", "\x1b[2Jx\x9b")).release == "x?-klab-lab"


@pytest.mark.parametrize(
    "said", ["", "a\nb\nc\nd\n", SAID.replace("0.25", ""), SAID.replace("1700000000.5", "1e999")]
)
def test_what_no_seat_says_is_refused(said: str) -> None:
    with pytest.raises(KlabError, match="not as a seat does"):
        health.parse("s", said)


def test_status_joins_the_desk_the_gradings_and_the_machine(
    tiny_class: Class, tiny_lab: Lab, monkeypatch
) -> None:
    one, two = (reach.of(tiny_class, seat) for seat in tiny_class.seats)
    for seat in (one, two):
        reach.private(seat.dir)
    record.checked(one, tiny_lab.id, "fail", 3)
    record.close(two, [tiny_lab.id])
    monkeypatch.setattr(artefact, "find", lambda name: type("Entry", (), {"manifest": {"release": "6.12.1"}}))
    said = {one.name: SAID}

    def run(seat, script, **_):
        if seat.name not in said:
            raise KlabError("no route")
        return said[seat.name]

    monkeypatch.setattr(ask, "run", run)
    found = status.ask(tiny_class, tiny_class.seats, [tiny_lab])
    assert [row.labs[tiny_lab.id] for row in found.rows] == ["tried", "new"]
    assert found.rows[0].looks == (
        "runs 6.12.0-klab-lab, not 6.12.1",
        "its kernel complained: kasan",
        "disk nearly full: 51 MiB left",
    )
    assert found.rows[0].active > 1700000000
    text = status.text(found)
    assert "1 of 2 seats answered" in text
    assert "(new)" in text
    assert "no route" in text
    many = replace(found, labs=tuple(replace(tiny_lab, id=tiny_lab.id) for _ in range(status.WIDE + 1)))
    assert "1 tried" in status.text(many)
    (two.file("seat.json")).write_text("{")
    assert "cannot be read" in status.text(status.ask(tiny_class, tiny_class.seats, [tiny_lab]))


def test_the_page_shows_names_as_text(tiny_class: Class, tiny_lab: Lab, monkeypatch) -> None:
    evil = replace(
        tiny_class.seats[0], student=replace(tiny_class.seats[0].student, name="<script>alert(1)</script>")
    )

    def run(*_, **__):
        raise KlabError("<img src=x>")

    monkeypatch.setattr(ask, "run", run)
    page = status.html(status.ask(tiny_class, [evil], [tiny_lab]), 7)
    tags: list[str] = []
    reader = html.parser.HTMLParser()
    monkeypatch.setattr(reader, "handle_starttag", lambda tag, _: tags.append(tag))
    reader.feed(page)
    assert not {"script", "img"} & set(tags)
    assert "&lt;script&gt;" in page
    assert 'content="7"' in page


@pytest.mark.parametrize(
    ("own", "graded", "word"),
    [
        ("new", "", "new"),
        ("passed", "fail", "passed"),
        ("started", "fail", "tried"),
        ("tried", "pass", "passed"),
    ],
)
def test_the_further_of_desk_and_grading_counts(own: str, graded: str, word: str) -> None:
    checks = {"passed": [record.Check(1, "pass", 1)], "tried": [record.Check(1, "fail", 1)]}
    progress = record.Progress(started=own != "new", checks=checks.get(own, []))
    found = results.Result(graded, 1, 1, 1.0, "", "", {}, "") if graded else None
    assert status.word(progress, found) == word


@pytest.mark.parametrize(("then", "said"), [(0, "-"), (95, "5 s ago"), (40, "1 min ago"), (200, "0 s ago")])
def test_how_long_ago(then: int, said: str) -> None:
    assert status.ago(then, 100) == said


def test_a_message_gives_no_orders_to_a_terminal() -> None:
    assert message.plain(" hi\x1b[2J\x07 ") == "hi?[2J?"
    assert len(message.plain("x" * 9999)) == message.LIMIT


def test_closed_labs_are_noted_and_given_again(tiny_class: Class) -> None:
    seat = reach.of(tiny_class, tiny_class.seats[0])
    reach.private(seat.dir)
    assert record.closed(seat) == set()
    assert record.close(seat, ["a/b", "c/d"])
    assert not record.close(seat, ["a/b"])
    assert record.close(seat, ["a/b"], again=True)
    assert record.closed(seat) == {"c/d"}


def test_a_seat_that_was_never_made_is_told_so(tiny_class: Class) -> None:
    with pytest.raises(KlabError, match="it was never made"):
        ask.run(reach.of(tiny_class, tiny_class.seats[0]), "true")


def test_without_ssh_there_is_a_mend(tiny_class: Class, monkeypatch) -> None:
    made, _ = reach.write(tiny_class, tiny_class.seats[0])
    monkeypatch.setenv("PATH", str(tiny_class.state))
    with pytest.raises(KlabError, match="ssh: No such file"):
        ask.run(made, "true")


def test_a_console_that_is_kept_here_is_read_instead_of_the_seats_log(tiny_class: Class, monkeypatch) -> None:
    seat = reach.of(tiny_class, tiny_class.seats[0])
    asked: list[str] = []

    def run(seat, script, **_):
        asked.append(script)
        return SAID.removesuffix(LOG)

    monkeypatch.setattr(ask, "run", run)
    assert health.of(seat, 1).splats is None
    reach.private(seat.dir)
    seat.console.write_text(LOG)
    assert health.of(seat, 1).splats == ("kasan",)
    assert ["dmesg" in script for script in asked] == [True, False]
