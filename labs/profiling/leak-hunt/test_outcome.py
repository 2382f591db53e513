# SPDX-License-Identifier: GPL-3.0-or-later
"""A process leaks by a way that was drawn; a daemon was mended, and is fed for long."""

import json
import re
from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.testing import expect

PLACES = ("GET", "PARSE", "REPLY", "LOOKUP", "READER", "WRITER")
WORDS = (
    "weigh",
    "carve",
    "knit",
    "plough",
    "solder",
    "bind",
    "thresh",
    "dye",
    "glaze",
    "churn",
    "spin",
    "mow",
)
SECONDS = 7
ROOM = 64  # notes
BEFORE, AFTER, FEW = 5000, 15000, 1500
GROWS = 64  # KiB that a process that loses nothing may grow by, as its blocks come to lie elsewhere
DEADLINE_S = 300
COMPILE = "gcc -O2 -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread {defines} -o leaky leaky.c"


@pytest.fixture(scope="module")
def drawn(lab):
    """What leaks: the macros of leaky.c."""
    r = lab.random
    names = {place: f"{word}_it" for place, word in zip(PLACES, r.sample(WORDS, len(PLACES)), strict=True)}
    numbers = {"LEAK": r.randrange(3), "IN_WRITER": r.randrange(2), "ZEROED": r.randrange(2)}
    return names | numbers | {"SIZE": r.randrange(50, 260), "EACH": r.randrange(3, 5)}


class Notes:
    """What the daemon has to answer."""

    def __init__(self):
        self.kept = {}

    def answer(self, line):
        verb, _, rest = line.lstrip(" ").partition(" ")
        name, _, text = rest.lstrip(" ").partition(" ")
        if not verb or not name or verb not in {"put", "get", "del", "ask"}:
            return "what?"
        if verb == "put":
            old = self.kept.pop(name, None)
            if old is None and len(self.kept) == ROOM:
                del self.kept[next(iter(self.kept))]
            self.kept[name] = text
            return "kept" if old is None else f"was {old}"
        if name not in self.kept:
            return f"no {name}"
        text = self.kept.pop(name) if verb == "del" else self.kept[name]
        return {"get": text, "del": f"gone {text}", "ask": str(len(text))}[verb]


@pytest.fixture(scope="module")
def requests(lab):
    """({name: requests}, what must be answered), of the long run and of the short one."""
    r = lab.random
    names = [f"{r.choice(WORDS)}-{n}" for n in range(110)]

    def text():
        return " ".join(r.choices(WORDS, k=r.randrange(15, 30)))

    def line():
        verb = r.choices(("put", "get", "del", "ask", "odd"), (6, 2, 1, 1, 2))[0]
        if verb == "put":
            return f"put {r.choice(names)} {text()}"
        if verb == "odd":
            return r.choice((text().replace(" ", ""), f"sing {r.choice(names)} {text()}", "get"))
        return f"{verb} {r.choice(names)}"

    long, short = [line() for _ in range(BEFORE + AFTER)], [line() for _ in range(FEW)]
    asked = {
        "klab/requests": "\n".join([*long[:BEFORE], "", *long[BEFORE:]]) + "\n",
        "klab/few": "\n".join(short) + "\n",
    }
    notes, others = Notes(), Notes()
    return asked, {"answers": [notes.answer(x) for x in long], "few": [others.answer(x) for x in short]}


@pytest.fixture(scope="module")
def left(lab, guest, drawn, requests):
    bench = lab.restored()
    files = {f"klab/{name}": bench.make().file(name) for name in ("notes", "hunt.py")}
    files["klab/notes-asan"] = bench.make("notes-asan").file("notes-asan")
    lab.builds.mkdir(parents=True, exist_ok=True)
    folder = Path(lab.builds, "leaky")
    folder.mkdir()
    (folder / "leaky.c").write_text((lab.spec.starter / "leaky.c").read_text())
    defines = " ".join(f"-D{name}={value}" for name, value in drawn.items())
    said = lab.run(["sh", "-c", COMPILE.format(defines=defines)], folder=folder)
    if said.code:
        raise KlabError(f"the grader's own process does not build: {said.err}", step="grader")
    files["klab/leaky"] = folder / "leaky"
    files |= {f"klab/{name}": lab.spec.folder / "grader" / name for name in ("day.sh", "feed.py")}
    ran = guest(f"bash /klab/day.sh {SECONDS}", files={**files, **requests[0]}, base="debian",
                deadline_s=DEADLINE_S)  # fmt: skip
    found = {name: data.decode(errors="replace") for name, data in ran.results.items()}
    return found | dict(re.findall(r"^(\w+): (\w+)$", ran.output.decode(errors="replace"), re.M))


@pytest.fixture(scope="module")
def told(left):
    """What hunt.py says."""
    try:
        word = json.loads(left.get("told", ""))
        fine = word["path"] is None or isinstance(word["path"], list)
    except (ValueError, TypeError, KeyError):
        word, fine = None, False
    expect.holds(left.get("status") == "0" and fine, "hunt.py ends well and prints one JSON object",
                 observed=f"exit status {left.get('status')}: {(left['told'] + left['errors'])[-600:]}",
                 expected="an object as its head says", look="hunt.py")  # fmt: skip
    return word


def test_path(told, drawn):
    site, caller = ("PARSE", "REPLY", "LOOKUP")[drawn["LEAK"]], ("READER", "WRITER")[drawn["IN_WRITER"]]
    right = [drawn["GET"], drawn[site], drawn[caller]]
    path = told["path"] or []
    expect.holds(path[:3] == right and path[3:] in ([], ["main"]), "the way to the blocks that are lost",
                 observed=f"{path or 'nothing leaks'}", expected=f"{right}, and main",
                 look="what grows all the time? is a caller missing? who frees it, and by what?")  # fmt: skip


def test_size(told, drawn):
    expect.equal(told.get("size"), drawn["SIZE"], "the size of a block that is lost",
                 look="the allocator's arguments; whose they are")  # fmt: skip


def test_alive(left):
    expect.holds(left.get("state") in {"S", "R", "D"}, "the process lives, and goes on",
                 observed=f"its state is {left.get('state', 'gone')}", expected="S or R",
                 look="hunt.py")  # fmt: skip


@pytest.mark.parametrize("name", ["answers", "few"])
def test_answers(left, requests, name):
    lines, right = left.get(name, "").splitlines(), requests[1][name]
    wrong = next((n for n, (seen, due) in enumerate(zip(lines, right, strict=False)) if seen != due), None)
    if wrong is None and len(lines) != len(right):
        wrong = min(len(lines), len(right))
    there = slice(0) if wrong is None else slice(wrong, wrong + 1)
    seen = f"answer {wrong}: {lines[there]}; {left.get('asan', '')[:600]}"
    asked = {"answers": "notes answers as it did", "few": "so it does under the sanitizer"}[name]
    expect.holds(wrong is None, asked, observed=seen, expected=str(right[there]),
                 look="notes.c and its head")  # fmt: skip


def test_sanitizer(left):
    report = re.search(r"ERROR: AddressSanitizer: .*(?:\n.*){0,14}", left.get("asan", ""))
    expect.holds(left.get("sanitized") == "0", "notes uses no memory that was given back",
                 observed=report[0] if report else left.get("asan", "")[-300:], expected="no report",
                 look="the last lines of the report: where it was freed")  # fmt: skip


def test_flat(left):
    used = [int(kib) for kib in re.findall(r"^after \d+: (\d+)$", left.get("fed", ""), re.M)]
    expect.equal(len(used), 2, "notes lives through all requests", look="notes.c")
    expect.holds(used[1] - used[0] < GROWS, "its memory stays what it was after the first",
                 observed=f"{used[0]} KiB after {BEFORE} requests, {used[1]} KiB after {BEFORE + AFTER}",
                 expected=f"less than {GROWS} KiB more", look="what nobody knows any more")  # fmt: skip
