# SPDX-License-Identifier: GPL-3.0-or-later
"""Two services have days that were drawn; what the scripts answer is compared with what those counted."""

import importlib.util
import re
from collections import Counter
from dataclasses import dataclass

import pytest

from klab.testing import expect

DAYS = (1, 2)
MEMORY, DEADLINE_S = 2048, 450.0
# bpftrace may put a key on a line of its own, and where in a function a call is.
ANSWER = re.compile(r"^@answer\[\s*(.*?)\s*\]: (-?\d+)$", re.M | re.S)
PLACE = re.compile(r"\+\w+( .*)?$")


@dataclass(frozen=True)
class Question:
    """kind: of the truth's lines. within: (part, units) that an answer may be off; plain counts are exact."""

    what: str
    kind: str
    unit: str
    look: str
    within: tuple[float, int] = (0, 0)
    # The first is ahead of the second by that factor, or the day was no fair one.
    ahead: float = 1


QUESTIONS = {
    "writes.bt": Question("who has written most", "wrote", "bytes",
                          "what was written, not asked for, by each way; a process, not one of its threads"),
    "opens.bt": Question("what was opened most often", "opened", "times",
                         "each way to open; what came of it; who did it does not matter"),
    "sites.bt": Question("who takes most from the allocator", "took", "bytes", "take_many(); the sizes"),
    "queue.bt": Question("who waits longest for a processor", "queued", "us",
                         "from waking up, or being put off, to running; whose is it?", (0.2, 15_000), 1.15),
    "children.bt": Question("who has most short-lived children", "children", "children",
                            "what is a process, and what a thread? who is its parent?"),
    "slowest.py": Question("which call is the slowest", "waited", "us",
                           "the mean; threads are in calls at the same time", (0.15, 5000), 1.5),
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a script said on a day. answers: (key, value) each, those about this day's service."""

    fine: bool
    said: str
    answers: list[tuple[str, int]]


@pytest.fixture(scope="module")
def begun(lab):
    """The scripts that are not as they were at the start. Those come first."""
    places = ((name, lab.workspace / name, lab.spec.starter / name) for name in QUESTIONS)
    return [name for name, its, was in places if its.is_file() and its.read_bytes() != was.read_bytes()]


@pytest.fixture(scope="module")
def plans(lab):
    spec = importlib.util.spec_from_file_location("plan", lab.spec.starter / "plan.py")
    drawn = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawn)
    return {f"klab/plan-{n}": drawn.day(lab.random) for n in DAYS}


@pytest.fixture(scope="module")
def ran(lab, guest, begun, plans):
    built = lab.restored().make()
    files = {f"klab/{name}": built.file(name) for name in ("service", *begun)}
    files["klab/day.sh"] = lab.spec.folder / "grader/day.sh"

    def days():
        done = guest(f"bash /klab/day.sh {' '.join(begun)}", files={**files, **plans}, needs=("kheaders",),
                     base="debian", memory=MEMORY, deadline_s=DEADLINE_S)  # fmt: skip
        left = {name: data.decode(errors="replace") for name, data in done.results.items()}
        return left | {"": done.output.decode(errors="replace")}

    # On a busy computer others wait as long as who should wait longest: then the days begin anew.
    first = days()
    return first if all(fair(first, n, QUESTIONS[name]) for n in DAYS for name in begun) else days()


def counted(ran, n, question):
    """{key: value} by the service's own account of a day."""
    found, calls = Counter(), Counter()
    for key, numbers in re.findall(rf"^{question.kind} (\S+) (.*)$", ran.get(f"truth-{n}", ""), re.M):
        *times, value = map(int, numbers.split())
        found[key] += value
        calls[key] += times[0] if times else 0
    return {key: value / (calls[key] or 1) for key, value in found.items()}


def clear(found, question):
    """Whether one is so far ahead of the others that there is one right answer."""
    second, first = sorted([0, 0, *found.values()])[-2:]
    return bool(second) and first > question.ahead * second


def unsure(ran, n, question):
    """Whether children lived so long, or seemed to, that nobody knows which were short-lived."""
    late = re.search(r"^unsure \w+ [1-9]", ran.get(f"truth-{n}", ""), re.M)
    return bool(late) and question.kind == "children"


def fair(ran, n, question):
    """Whether a day has one right answer."""
    return clear(counted(ran, n, question), question) and not unsure(ran, n, question)


def truth(ran, n, question):
    """The same, of a day on which it can be told."""
    if unsure(ran, n, question):
        expect.cannot_tell("the computer is so slow that it cannot be told which children were short-lived")
    found = counted(ran, n, question)
    if not clear(found, question):
        expect.cannot_tell(
            f"day {n} was no fair one: {found or ran[''][-500:]}", look="what else is running here"
        )
    return found


def watched(ran, n, name):
    """What a script said of a day."""
    label = name if name.endswith(".py") else f"{name}-{n}"
    said = ran.get(f"{label}.said", "")
    status = re.search(rf"^status: {re.escape(label)} (\d+)$", ran[""], re.M)
    fine = bool(status) and status[1] == "0" and "ready" in said.splitlines()
    group = re.search(r"^groups: (.*)$", ran[""], re.M)[1].split()[n - 1]
    answers = [(key, int(value)) for key, value in ANSWER.findall(said)]
    if name.endswith(".py"):
        parts = [(*key.partition(", "), value) for key, value in answers]
        answers = [(key, value) for whose, _, key, value in parts if whose == group]
    errors = ran.get(f"{label}.errors", "").strip()
    return Seen(fine, f"{said[-300:]}\n{errors[-700:]}\nexit status {status and status[1]}".strip(), answers)


@pytest.mark.parametrize("place", range(len(QUESTIONS)))
def test_answer(request, begun, place):
    name = sorted(QUESTIONS, key=lambda name: name not in begun)[place]
    question = QUESTIONS[name]
    if not begun:
        expect.fail(f"{name} is written", observed="it is as it was at the start", expected=question.what,
                    look=name)  # fmt: skip
    if name not in begun:
        # No failure: or what a wrong answer to another question is refused for would be this.
        expect.cannot_tell(f"{name} is as it was at the start", look=name)
    ran = request.getfixturevalue("ran")
    for n in DAYS:
        seen = watched(ran, n, name)
        expect.holds(seen.fine, f"{name} watches day {n}, and ends on SIGINT", observed=seen.said,
                     expected="the line ready, and exit status 0", look=name)  # fmt: skip
        expect.equal(len(seen.answers), 1, f"{name} gives one answer on day {n}", look=seen.said)
        ((key, value),) = seen.answers
        right = truth(ran, n, question)
        best = max(right, key=right.get)
        key = PLACE.sub("", key) if question.kind == "took" else key
        expect.equal(key, best, f"day {n}: {question.what}", look=question.look)
        part, units = question.within
        off = part * right[best] + units
        expect.holds(abs(value - right[best]) <= off, f"day {n}: {question.what}, and how much",
                     observed=f"{value} {question.unit}",
                     expected=f"{right[best]:.0f} {question.unit}, give or take {off:.0f}",
                     look=question.look)  # fmt: skip
