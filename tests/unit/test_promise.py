# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on what kernels showed, and a few words with a debugger."""

import json
import re
import socket
import threading
from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.kernel import flavour as flavours
from klab.promise import kgdb, model, verdict
from klab.promise.verdict import CANNOT_TELL, NOT_OBSERVED, OBSERVED, Finding, judge

# What kernels wrote in the guest of a promise, from where their init began:
# <promise>.shown.txt by a kernel that makes it, <promise>.silent.txt by Debian's.
CONSOLES = Path(__file__).parents[1] / "fixtures/consoles"
RECORDED = {path.name: path for path in sorted(CONSOLES.glob("*.txt"))}
SHOWN = [name for name in RECORDED if ".shown." in name]
SHOWS = (re.compile("BUG: KASAN: slab-out-of-bounds in klab_"), re.compile("Freed by"))


def found(*, shown: bool = True, provoked: bool = True, lost: str = "") -> Finding:
    return Finding("k", "6.12", "d", provoked, ("a", "b") if shown else ("a", ""), lost)


SILENT = found(shown=False)


def test_what_only_this_kernel_shows_is_observed():
    assert judge("p", SHOWS, found(), SILENT, alone=False).word == OBSERVED


def test_what_is_shown_before_the_kernel_died_is_observed():
    assert judge("p", SHOWS, found(provoked=False, lost="kernel panic"), SILENT, alone=False).word == OBSERVED


def test_what_is_provoked_and_not_shown_is_not_observed():
    said = judge("p", SHOWS, found(shown=False), None, alone=False)
    assert said.word == NOT_OBSERVED
    assert "Freed by" in said.reason
    assert "KASAN" not in said.reason


def test_what_debian_shows_as_well_is_not_observed():
    said = judge("p", SHOWS, found(), found(), alone=False)
    assert (said.word, "Debian's kernel shows the same" in said.reason) == (NOT_OBSERVED, True)


@pytest.mark.parametrize(
    ("here", "stock", "reason"),
    [
        (found(shown=False, provoked=False, lost="180 s passed"), SILENT, "180 s passed"),
        (found(shown=False, provoked=False), SILENT, "never came to provoke"),
        (found(), None, "klab kernel build --flavour stock"),
        (found(), found(shown=False, provoked=False, lost="no headers"), "on stock: no headers"),
    ],
    ids=["lost", "not provoked", "no stock", "stock not provoked"],
)
def test_what_did_not_take_place_cannot_be_told(here, stock, reason):
    said = judge("p", SHOWS, here, stock, alone=False)
    assert said.word == CANNOT_TELL
    assert reason in said.reason


def test_a_finding_without_evidence_is_never_shown():
    nothing = Finding("k", "6.12", "d", True, ())
    assert not nothing.shown
    assert judge("p", SHOWS, nothing, None, alone=True).word == NOT_OBSERVED


def test_what_stock_may_show_is_not_compared():
    assert judge("p", SHOWS, found(), None, alone=True).word == OBSERVED


def test_a_finding_is_kept_as_data():
    finding = found(lost="x")
    assert Finding.from_dict(json.loads(json.dumps(finding.as_dict()))) == finding


def test_evidence_is_the_first_line_of_each_pattern():
    lines = [
        "nothing",
        "[ 1.0] BUG: KASAN: slab-out-of-bounds in klab_a",
        "BUG: KASAN: slab-out-of-bounds in klab_b",
    ]
    assert verdict.evidence(SHOWS, lines) == ("[ 1.0] BUG: KASAN: slab-out-of-bounds in klab_a", "")


def test_only_the_guests_own_line_says_that_it_provoked():
    assert verdict.provoked(["x", "klab: provoked"])
    assert not verdict.provoked(["+ echo klab: provoked", "sh: klab: provoked?"])


def showing(name: str, promise: str) -> bool:
    """Whether the recorded text shows all of the promise."""
    lines = RECORDED[name].read_text().splitlines()
    return all(verdict.evidence(model.load(promise).shows, lines))


@pytest.mark.parametrize("name", RECORDED)
def test_what_was_recorded_is_told_apart(name):
    promise, kind, _ = name.split(".")
    assert verdict.provoked(RECORDED[name].read_text().splitlines())
    assert showing(name, promise) == (kind == "shown")


@pytest.mark.parametrize("name", SHOWN)
def test_what_was_recorded_shows_no_other_promise(name):
    others = [p for p in model.names() if p != name.split(".", maxsplit=1)[0]]
    assert not [promise for promise in others if showing(name, promise)]


class Kernel(threading.Thread):
    """A kernel that stops in kdb, on the other end of a serial line; `memory` by address."""

    def __init__(self, path: Path, memory: dict[int, bytes], *, stops: bool = True) -> None:
        super().__init__(daemon=True)
        self.memory, self.stops, self.heard = memory, stops, []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()

    def run(self) -> None:
        stream, _ = self.server.accept()
        with stream, self.server:
            stream.sendall(b"Linux boots\r\n" + (b"Entering kdb\r\n[0]kdb> " if self.stops else b""))
            while self.stops and (packet := re.search(rb"\$(.*)#(..)", stream.recv(100))):
                words = packet[1].decode()
                assert int(packet[2], 16) == sum(packet[1]) % 256
                self.heard.append(words)
                answer = self.answer(words)
                stream.sendall(b"+$" + answer[:3])
                stream.sendall(answer[3:] + b"#%02x" % (sum(answer) % 256))
                assert stream.recv(1) == b"+"
                if words == "D":
                    return

    def answer(self, words: str) -> bytes:
        if words[0] == "m":
            place, length = (int(number, 16) for number in words[1:].split(","))
            return self.memory[place][:length].hex().encode()
        return {"?": b"S05", "D": b"OK"}[words]


MAP = "ffffffff81000000 T _text\nffffffff82000100 D linux_banner\nffffffff82000200 D linux_banner2\n"


def test_a_kernel_that_stops_is_read_and_let_go(tmp_path):
    kernel = Kernel(tmp_path / "s", {0xFFFFFFFF82000100: b"Linux version 6.12-klab (k@k)" + b"." * 90})
    kernel.start()
    said: list[str] = []
    kgdb.talk(tmp_path / "s", MAP, said.append)
    assert said[0] == "kgdb: stop reply S05"
    assert said[1].startswith("kgdb: linux_banner reads Linux version 6.12-klab (k@k)")
    assert said[2] == "kgdb: detach OK"
    assert kernel.heard == ["?", "mffffffff82000100,40", "D"]


def test_a_kernel_that_never_stops_is_told(tmp_path):
    Kernel(tmp_path / "s", {}, stops=False).start()
    said: list[str] = []
    kgdb.talk(tmp_path / "s", MAP, said.append)
    assert said == ["kgdb: no more answer: the line was closed"]


@pytest.mark.parametrize("name", model.names())
def test_each_promise_can_be_read(name):
    promise = model.load(name)
    assert promise.shows
    if promise.stock == "silent":
        assert promise.name not in flavours.load("stock").promises, "stock cannot differ from itself"


def test_flavours_and_promises_fit():
    made = {name: flavours.load(name).promises for name in flavours.names()}
    assert {name for names in made.values() for name in names} == set(model.names())
    assert all(made.values()), "a flavour that promises nothing proves nothing"


def test_an_unknown_promise_is_named_with_its_neighbour():
    with pytest.raises(KlabError, match="no promise 'kasan-obb'") as raised:
        model.load("kasan-obb")
    assert "did you mean kasan-oob?" in raised.value.mend


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A promise of the test's own, from the text of its promise.yml."""
    monkeypatch.setenv("KLAB_KERNELS", str(tmp_path))

    def write(text: str, script: str = "true\n") -> None:
        folder = tmp_path / "promises/mine"
        folder.mkdir(parents=True)
        (folder / "promise.yml").write_text(text)
        if script:
            (folder / "run.sh").write_text(script)

    return write


GOOD = "{why: 'because it is worth having', how: 'by some shell commands', shows: [x], stock: same"


@pytest.mark.parametrize(
    ("text", "script", "what"),
    [
        (f"{GOOD}, shows: ['(']}}", "true\n", "unterminated"),
        (f"{GOOD}, stok: same}}", "true\n", "stok"),
        (f"{GOOD}}}", "", "nothing provokes"),
    ],
    ids=["pattern", "unknown key", "nothing to run"],
)
def test_a_bad_promise_is_refused(own, text, script, what):
    own(text, script)
    with pytest.raises(KlabError, match=what):
        model.load("mine")
