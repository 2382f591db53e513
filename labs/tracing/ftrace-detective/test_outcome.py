# SPDX-License-Identifier: GPL-3.0-or-later
"""The mill is slow in another way each round, and used by others; the detective has to say where and why."""

import json
import re
import statistics
from itertools import pairwise

import pytest

from klab.testing import expect

VERBS = (
    "wash",
    "grind",
    "press",
    "bake",
    "sift",
    "weigh",
    "blend",
    "cool",
    "pack",
    "roast",
    "knead",
    "strain",
)
THINGS = ("barley", "millet", "acorn", "hazel", "rye", "sesame", "poppy", "oat", "almond", "chestnut")
PEOPLE = ("keeper", "porter", "warden", "clerk", "carter", "factor", "reeve")
FUNCTIONS = 10
KINDS = {"c": "computes", "s": "sleeps", "l": "waits"}
# Of the tracer; one that nobody can do without is always as it must not be.
OPTIONS = ("abstime 1", "tail 1", "proc 1", "cpu 0", "overhead 0")
MEMORY, DEADLINE_S = 1024, 300.0
NEAR = 1.3  # the module measures the same operations itself
LOOK = {
    "culprit": "what is left of a function's time without that of its callees; whose operation is it?",
    "callers": "time by path, not by function",
    "calls": "functions by the number of operations; a leaf has no closing brace",
    "kind": "sched:sched_switch (prev_state); lock:contention_begin, between entry and exit",
    "holder": "sched:sched_waking: who is running when it wakes the one that waits",
}


class Plan:
    """One round. random: of the run; kind: what is slow; late: the slow way comes after the innocent one."""

    def __init__(self, random, kind, late):
        self.kind = kind
        self.count = random.randrange(4, 7)
        slow = random.randrange(6, FUNCTIONS - 1)
        way = sorted(random.sample(range(1, 6), random.randrange(1, 4)))
        rest = [n for n in range(1, FUNCTIONS) if n not in {slow, *way}]
        # Another one calls the culprit, too, and wants little of it.
        innocent = random.choice([n for n in rest if n < 6])
        rest.remove(innocent)
        often, busy, dozes = random.sample(rest, 3)
        wanted = {"c": (2, 13000), "s": (1, 26000), "l": (1, random.randrange(2))}[kind]
        self.calls = [(a, b, 1, "n", 0) for a, b in pairwise(way)]
        self.calls += [
            (way[-1], slow, wanted[0], kind, wanted[1]),
            (innocent, slow, random.randrange(2, 6), "c", 100),
            (random.choice([n for n in (0, *way) if n < often]), often, random.randrange(8, 15), "c", 100),
            (0, busy, 1, "c", 2500),
            (0, dozes, 1, "s", 2500),
        ]
        random.shuffle(self.calls)
        ways = [(0, innocent, 1, "c", 400), (0, way[0], 1, "n", 0)]
        first, then = ways if late else ways[::-1]
        place = random.randrange(len(self.calls))
        self.calls.insert(place, first)
        self.calls.insert(random.randrange(place + 1, len(self.calls) + 1), then)
        self.slow, self.way = slow, way
        # Somebody else's operation is slow in a function that is none of our trouble.
        self.other = [(0, often, 1, "s", 45000)]

    def times(self, function=0):
        """How often an operation calls the culprit from here on."""
        if function == self.slow:
            return 1
        return sum(
            times * self.times(callee) for caller, callee, times, *_ in self.calls if caller == function
        )

    def line(self, name):
        plans = (",".join("-".join(map(str, call)) for call in calls) for calls in (self.calls, self.other))
        return f"{name} {self.count} {' '.join(plans)}\n"


@pytest.fixture(scope="module")
def drawn(lab):
    """({round: plan}, names of functions, names of holders, odd options)."""
    r = lab.random
    names = [f"{verb}_{r.choice(THINGS)}" for verb in r.sample(VERBS, FUNCTIONS)]
    people = [f"{r.choice(THINGS)}_{who}"[:15] for who in r.sample(PEOPLE, 2)]
    kinds = r.sample(list(KINDS), len(KINDS))
    return (
        {f"round{n}": Plan(r, kind, n % 2) for n, kind in enumerate(kinds, 1)},
        names,
        people,
        ["duration 0", *r.sample(OPTIONS, 2)],
    )


@pytest.fixture(scope="module")
def ran(lab, guest, drawn):
    plans, names, people, options = drawn
    header = f"#define MILL_FUNCTIONS(F) {' '.join(f'F({n}, {name})' for n, name in enumerate(names))}\n"
    header += f'#define HOLDERS {{ "{people[0]}", "{people[1]}" }}\n'
    built = lab.restored({"names.h": header}).make()
    files = {f"klab/{name}": built.file(name) for name in ("mill.ko", "detective.py")}
    files |= {f"klab/{name}": lab.spec.folder / "grader" / name for name in ("day.sh", "ops.sh")}
    files["klab/rounds"] = "".join(plan.line(name) for name, plan in plans.items())
    files["klab/options"] = "".join(f"funcgraph-{option}\n" for option in options)
    ran = guest("bash /klab/day.sh", files=files, base="debian", memory=MEMORY, deadline_s=DEADLINE_S)
    left = {name: data.decode(errors="replace") for name, data in ran.results.items()}
    return {**left, "said": ran.output.decode(errors="replace")}


@pytest.mark.parametrize("turn", range(1, len(KINDS) + 1))
def test_round(ran, drawn, turn):
    plans, names, people, _ = drawn
    name = f"round{turn}"
    plan, text = plans[name], ran.get(name, "")
    told = re.search(rf"^{name}: (\d+) (\d+) (\S+)", ran["said"], re.M)
    if not told:
        expect.cannot_tell(f"the guest did not come to {name}: {ran['said'][-400:]}")
    expect.equal(int(told[2]), plan.count, f"the command is run, and once (round {turn})",
                 look=ran.get(f"{name}.errors", "").strip()[-300:] or "detective.py")  # fmt: skip
    try:
        word = json.loads(text)
    except ValueError:
        word = None
    kind = KINDS[plan.kind]
    expect.holds(told[1] == "0" and isinstance(word, dict),
                 f"detective.py ends well and prints one JSON object (the culprit {kind})",
                 observed=f"exit status {told[1]}: {(text + ran.get(f'{name}.errors', ''))[-500:]}",
                 expected="an object, within a minute", look="detective.py")  # fmt: skip
    lock = next(call[4] for call in plan.calls if call[:2] == (plan.way[-1], plan.slow))
    right = {
        "culprit": names[plan.slow],
        "callers": [names[n] for n in (0, *plan.way)],
        "calls": plan.times(),
        "kind": kind,
        "holder": people[lock] if plan.kind == "l" else None,
    }
    for key, value in right.items():
        expect.equal(word.get(key, "(not said)"), value, f"{key}, when the culprit {kind}", look=LOOK[key])
    took = statistics.median(int(us) / 1000 for us in told[3].split(",")[: plan.count])
    ms = word.get("ms")
    expect.holds(isinstance(ms, int | float) and took / NEAR < ms < took * NEAR,
                 f"how long an operation takes, when the culprit {kind}", observed=f"{ms} ms",
                 expected=f"about {took:.1f} ms, as the module says itself",
                 look="the median of the first function's times")  # fmt: skip


@pytest.mark.parametrize("turn", range(1, len(KINDS) + 1))
def test_nothing_is_changed(ran, turn):
    left = ran.get(f"round{turn}.left", "there was no such round")
    expect.equal(left.strip()[:1500], "", f"tracefs is as it was (round {turn}; <: was, >: is)",
                 look="an instance of your own; what all instances share")  # fmt: skip
