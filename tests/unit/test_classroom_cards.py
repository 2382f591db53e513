# SPDX-License-Identifier: GPL-3.0-or-later
"""Cards and the page of a class, as files that a browser prints."""

import html
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
import segno
from click.testing import CliRunner

from fixtures.rosters import DEFINITION, key, rows, write
from klab.classroom import cards, definition
from klab.classroom.model import Class
from klab.cli import main
from klab.errors import KlabError

VOID = {"meta", "br"}
NASTY = "<script>alert(1)</script> & Co"


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No state but the test's, and a computer that makes no PDF."""
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(cards, "PRINTERS", ())


@pytest.fixture
def class_(tmp_path: Path) -> Class:
    """Eleven seats, all made, of which one is an existing machine."""
    extra = [f"ada,{NASTY},{key('ada')},pc07,group_a,observability"]
    text = DEFINITION.replace("user: klab,", "user: klab, listen: 192.0.2.10,")
    made = definition.load(write(tmp_path / "class", [*rows(10), *extra], definition=text))
    for number, seat in enumerate(made.seats[:-1]):
        folder = made.seat_dir(seat.name)
        folder.mkdir(parents=True)
        (folder / "ssh_config").write_text(
            f"Host {seat.name}\n    HostName 127.0.0.1\n    Port {2300 + number}\n"
        )
        (folder / "known_hosts").write_text(f"{seat.name} {key(seat.name)}\n")
    return made


class Balanced(HTMLParser):
    """Notes the texts, and whether each element ends where it should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.elements: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_a_card_says_how_to_log_in(class_):
    first = class_.seats[0]
    card = cards.card(class_, first)
    assert card.port == 2300
    here = class_.hypervisor(first.hypervisor)
    assert card.line == f"ssh -p 2300 student01@{here.listen}"
    assert bool(card.only) == (here.listen == "127.0.0.1")
    there = cards.card(class_, class_.seats[-1])
    assert (there.line, there.only, there.group) == ("ssh ada@192.0.2.57", "", "group_a")


def test_where_a_seat_on_the_loopback_can_be_reached_is_told(class_):
    only = {cards.card(class_, seat).only for seat in class_.seats}
    assert only == {"", "from 192.0.2.11 only"}


def test_the_fingerprint_is_the_one_that_ssh_shows(class_, tmp_path):
    seat = class_.seats[0]
    (tmp_path / "key.pub").write_text(key(seat.name))
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], capture_output=True, text=True, check=True
    )
    assert cards.card(class_, seat).fingerprint == shown.stdout.split()[1]


@pytest.mark.parametrize("text", ["", "k26-student01\n", "k26-student01 ssh-ed25519 AAAA\n"])
def test_a_host_key_that_is_not_known_is_left_out(class_, text):
    (class_.seat_dir("k26-student01") / "known_hosts").write_text(text)
    assert cards.card(class_, class_.seats[0]).fingerprint == ""


@pytest.mark.parametrize(("per_page", "pages", "height"), [(8, 2, 69), (2, 6, 276), (6, 2, 92), (7, 2, 69)])
def test_pages(class_, per_page, pages, height):
    found = [cards.card(class_, seat) for seat in class_.seats]
    text = cards.cards_page(class_, found, per_page)
    elements = Balanced(text).elements
    assert (elements.count("section"), elements.count("article"), elements.count("svg")) == (pages, 11, 11)
    assert f"height: {height}mm" in text


def test_each_card_has_the_code_of_its_own_line(class_):
    found = [cards.card(class_, seat) for seat in class_.seats]
    text = cards.cards_page(class_, found, 8)
    for card in found:
        assert html.escape(card.line) in text
        path = re.search(r' d="([^"]+)"', segno.make(card.line, micro=False).svg_inline(border=2))[1]
        assert text.count(path) == 1


def test_what_students_are_called_is_no_markup(class_):
    found = [cards.card(class_, seat) for seat in class_.seats]
    for text in (cards.cards_page(class_, found, 8), cards.class_page(class_, found)):
        assert "<script" not in text
        assert NASTY in Balanced(text).texts


def test_the_page_of_the_class_lists_seats_and_labs(class_):
    found = [cards.card(class_, seat) for seat in class_.seats]
    page = Balanced(cards.class_page(class_, found))
    assert page.elements.count("tr") == 2 + len(found) + 1
    assert {"klab start lkm-lifecycle", "observability", "ssh ada@192.0.2.57"} <= set(page.texts)


def run(*words: str) -> tuple[int, dict]:
    done = CliRunner().invoke(main, ["class", "cards", *words, "--json"])
    return done.exit_code, json.loads(done.output)


def test_the_command_writes_files_and_tells_what_is_missing(class_, tmp_path):
    (class_.seat_dir("k26-student03") / "ssh_config").unlink()
    code, body = run("--class", str(class_.folder), "--to", str(tmp_path / "out"))
    assert code == 0
    assert [Path(one).name for one in body["files"]] == ["cards.html", "class.html"]
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["cards.html", "class.html"]
    assert body["notes"][0] == "not made yet, and without a card: k26-student03"
    assert body["notes"][1].startswith("no PDF: install weasyprint or chromium")
    assert (tmp_path / "out/cards.html").read_text().count("<article") == 10


def test_without_any_seat_there_are_no_cards(tmp_path):
    folder = write(tmp_path / "class", rows(2))
    with pytest.raises(KlabError, match="no seat of class k26 is made yet"):
        cards.write(definition.load(folder), tmp_path / "out", 8)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cp", "{page}", "{pdf}"), ""),
        (("ls", "{page}/nowhere"), "no PDF: ls made no PDF: ls: "),
        (("true",), "no PDF: true made no PDF: no reason given"),
    ],
)
def test_a_program_that_prints(class_, tmp_path, monkeypatch, words, said):
    monkeypatch.setattr(cards, "PRINTERS", (("klab-no-such-printer",), words))
    (tmp_path / "cards.pdf").write_text("an older one")
    found, notes = cards.write(class_, tmp_path, 8)
    assert [one.name for one in found[2:]] == ([] if said else ["cards.pdf"])
    assert [note.startswith(said) for note in notes] == ([True] if said else [])
    assert (tmp_path / "cards.pdf").exists() == (not said)
