# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes drawn by lot, in functions of the kernel and of a stripped program; and the server's own."""

import json
import re
import shutil
from dataclasses import dataclass

import pytest

from klab.errors import KlabError
from klab.testing import expect
from klab.testing.observe import BUILDS

MEMORY, DEADLINE_S = 1024, 300.0
LETTERS = "abcdefghiklmnoprstuvwz"
EISDIR = -21
OWN = ("saw", "drill", "plane", "clamp")
ROUNDS = ("allocate-enter", "rename-leave", "own-user")
# `timeout` has a child: it is the child that does the work.
WORK = "timeout 50 ./work"
# {probe: the types of its arguments as uprobe events have them}
PROBES = {"request__start": ("u32", "s32", "ustring"), "request__done": ("u32", "s64")}
ROOM = 100000
NOP = 0x90
# The program's code is not where the file has it; the twin keeps its symbols.
COMPILE = "gcc -O2 -g -static -no-pie -Wl,-Ttext-segment={base:#x} -o twin work.c && strip -o work twin"


@dataclass(frozen=True)
class Round:
    """A call of probes.sh: its words, and the lines that it is to print."""

    words: str
    lines: list[str]
    what: str


class Draw:
    """What is drawn. random: of the run."""

    def __init__(self, random):
        self.random = random

    def names(self, count):
        r = self.random
        return ["".join(r.choices(LETTERS, k=r.randrange(5, 12))) + LETTERS[n] for n in range(count)]

    def rounds(self):
        """{name: round}; the name begins with what is done."""
        r = self.random
        found = {}

        def kernel(name, function, value, work, lines):
            mode = name.partition("-")[2]
            what = f"{value} of {function}" + (", and what it returns" if mode == "leave" else "")
            found[name] = Round(f"{mode} {function} {value} {WORK} {work}", lines, what)

        signs, which = r.sample([1, 1, 1, 1, -1, -1], 6), r.randrange(2)
        told = [(sign * r.randrange(1, 1 << 20), r.randrange(1, 1 << 16)) for sign in signs]
        work = "allocate " + " ".join(f"{at}:{size}" for at, size in told)
        lines = [str(one[which]) for one in told]
        kernel("allocate-enter", "vfs_fallocate", ("3/s64", "4/s64")[which], work, lines)
        kinds = r.sample(["file", "file", "file", "folder", "folder"], 5)
        told = list(zip(self.names(5), kinds, strict=True))
        lines = [f"{name} {0 if kind == 'file' else EISDIR}" for name, kind in told]
        work = f"rename {' '.join(name if kind == 'file' else f'/{name}' for name, kind in told)}"
        value = "1/renamedata:new_dentry/dentry:d_name.name/string"
        kernel("rename-leave", "vfs_rename", value, work, lines)
        which = r.randrange(len(OWN))
        numbers = [str(r.randrange(-90000, 90000)) for _ in range(6)]
        words = f"user ./work ./twin {OWN[which]} {WORK} {which} {' '.join(numbers)}"
        found["own-user"] = Round(words, numbers, f"the argument of {OWN[which]} in a stripped program")
        return found

    def requests(self):
        """[(id, amount, who, what serve() returns)]."""
        r, left, told = self.random, ROOM, []
        for who in self.names(12):
            amount = r.choice((r.randrange(1, 9000), r.randrange(200000, 900000)))
            told.append((r.randrange(1, 1 << 32), amount, who, left - amount))
            left -= amount if amount <= left else 0
        return told


@pytest.fixture(scope="module")
def drawn(lab):
    draw = Draw(lab.random)
    return draw.rounds(), draw.requests(), 0x400000 + lab.random.randrange(1, 200) * 0x10000


@pytest.fixture(scope="module")
def ran(lab, guest, drawn):
    rounds, requests, base = drawn
    folder = lab.builds / "work"
    shutil.copytree(lab.spec.folder / "grader", folder)
    said = lab.run(["sh", "-c", COMPILE.format(base=base)], folder=folder)
    if said.code:
        raise KlabError(f"the grader's own program does not build: {said.err}", step="grader")
    # What <sys/sdt.h> makes is built where that is: in the guest.
    work = lab.restored().workspace
    files = {f"klab/{path.name}": path for path in work.iterdir() if path.is_file()}
    files |= {f"klab/{name}": folder / name for name in ("work", "twin", "day.sh", "notes.py")}
    files["klab/rounds"] = "".join(f"{name} {one.words}\n" for name, one in rounds.items())
    files["klab/types"] = json.dumps(PROBES)
    files["klab/requests"] = "".join(f"{number} {amount} {who}\n" for number, amount, who, _ in requests)
    ran = guest("bash /klab/day.sh", files=files, base="debian", memory=MEMORY, deadline_s=DEADLINE_S)
    left = {name: data.decode(errors="replace") for name, data in ran.results.items()}
    said = ran.output.decode(errors="replace")
    expect.holds("built" in said, f"{BUILDS} in the guest", observed=left.get("make", said)[-1500:],
                 expected="a server", look="server.c")  # fmt: skip
    return {**left, "said": said, "notes": json.loads(left.get("notes") or "{}")}


@pytest.mark.parametrize("probe", PROBES)
def test_notes(ran, probe):
    note = ran["notes"].get(probe, {"arguments": [], "code": -1, "semaphore": 0})
    expect.equal(len(note["arguments"]), len(PROBES[probe]),
                 f"the server has a note of {probe}, and of its arguments",
                 look="readelf -n server; DTRACE_PROBE3, DTRACE_PROBE2")  # fmt: skip
    expect.equal(note["code"], NOP, f"{probe} is one NOP in the file", look="objdump -d server")
    expect.holds(note["semaphore"] > 0, f"{probe} has a semaphore", observed="none in its note",
                 expected="its address", look="_SDT_HAS_SEMAPHORES")  # fmt: skip


@pytest.mark.parametrize("when", ["off", "on", "again"])
def test_answers(ran, drawn, when):
    answers = [f"{number} {result}" for number, _, _, result in drawn[1]]
    expect.equal(ran.get(f"{when}.answers", "").splitlines(), answers,
                 f"the server answers as before (probes: {when})", look="server.c")  # fmt: skip
    described = len(answers) if when == "on" else 0
    expect.equal(ran.get(f"{when}.errors", "").strip(), f"described {described}",
                 f"requests are described for a listener alone (probes: {when})",
                 look="the semaphore: is it asked, and is it the note's?")  # fmt: skip


def test_probes(ran, drawn):
    row = r": (request__\w+): \(0x\w+\) *(.*?) *$"
    seen = re.findall(row, ran.get("trace", ""), re.M)
    right = []
    for number, amount, who, result in drawn[1]:
        right.append(("request__start", f'a0={number} a1={amount} a2="{who} wants {amount}"'))
        right.append(("request__done", f"a0={number} a1={result}"))
    n = next((n for n, (a, b) in enumerate(zip(seen, right, strict=False)) if a != b), len(seen))
    one, other = ((said[n:] or ["none"])[0] for said in (seen, right))
    expect.holds(seen == right, "both probes fire for each request, with its values and in their order",
                 observed=f"{len(seen)}; number {n + 1}: {one}; {ran['said'][-300:]}",
                 expected=f"{len(right)}; number {n + 1}: {other}", look="server.c")  # fmt: skip


@pytest.mark.parametrize("name", ROUNDS)
def test_round(ran, drawn, name):
    one = drawn[0][name]
    errors = ran.get(f"{name}.errors", "").strip()[-500:]
    expect.equal(ran.get(name, "").splitlines(), one.lines, f"probes.sh finds {one.what}",
                 look=errors or "probes.sh; error_log in tracefs")  # fmt: skip
    left = ran.get(f"{name}.left", "there was no such round").strip()
    expect.equal(left[:1500], "", f"tracefs is as it was after {name} (<: was, >: is)",
                 look="dynamic_events: others have some, too")  # fmt: skip
