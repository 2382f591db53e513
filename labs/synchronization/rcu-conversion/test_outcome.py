# SPDX-License-Identifier: GPL-3.0-or-later
"""A lookup and a walk that stay at a deleted route, all at once, the sums, an unload; on san."""

import re

import pytest

from klab.testing import expect

# The grader's own, whatever the student did to them.
DEADLINE_S = 200
STAY_MS = 300  # that a reader stays at a route which is deleted
HOLD_MS = 4000

SCRIPT = """
cd /klab
insmod routes.ko || exit 1
insmod hammer.ko seed={seed} rounds={rounds} stay_ms={stay} || exit 1
cat /sys/module/hammer/parameters/result
rmmod hammer
# No grace period of RCU ends while the table goes: what was not waited for is still to come.
insmod holder.ko ms={hold}
rmmod routes && echo gone
rmmod holder
ls -d /sys/kernel/slab/routes_entry 2>/dev/null
true
"""


@pytest.fixture(scope="module")
def modules(lab):
    """The student's table with the grader's hammer, as files for a guest."""
    built = lab.restored().make()
    return {f"klab/{name}": built.file(name) for name in ("routes.ko", "hammer.ko", "holder.ko")}


@pytest.fixture(scope="module")
def rounds(lab):
    return lab.random.randrange(600, 1000)


@pytest.fixture(scope="module")
def answers(lab, guest, modules, rounds):
    """What the hammer saw, by name, and the lines after it."""
    numbers = {"seed": lab.random.randrange(1, 1 << 31), "rounds": rounds, "stay": STAY_MS, "hold": HOLD_MS}
    ran = guest(SCRIPT.format(**numbers), files=modules, deadline_s=DEADLINE_S)
    output = ran.output.decode(errors="replace")
    seen = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", output)}
    expect.holds("longest" in seen, "both modules load, and the hammer comes to its end",
                 observed=output, expected="a line of results", look="dmesg; hammer.c")  # fmt: skip
    return {**seen, "rest": output.splitlines()[1:]}


@pytest.mark.parametrize("reader", ["lookup", "walk"])
def test_a_reader_stays_at_a_deleted_route(answers, reader):
    expect.equal(answers[f"{reader}_waited"], 0, f"nobody waits for a {reader} that stays where it is",
                 look="what readers and writers both lock; what route_del waits for")  # fmt: skip
    expect.equal(answers[f"{reader}_early"], 0, f"nothing is freed as long as a {reader} can have it",
                 look="route_del: which readers does the callback wait for")  # fmt: skip
    expect.equal(answers[f"{reader}_intact"], 1, f"the route at which a {reader} stays is as it was",
                 look="route_del; entry_free")  # fmt: skip


def test_a_walk_goes_on_from_a_deleted_route(answers):
    expect.equal(answers["walk_seen"], 5, "routes that a walk saw, the deleted one and those behind it",
                 look="list_del_rcu")  # fmt: skip


def test_all_at_once(answers, rounds):
    expect.equal(answers["wrong"], 0, "each lookup, walk, add and del answers as it should",
                 look="the order of the list; the writers' lock")  # fmt: skip
    expect.equal(answers["looked"], 2 * rounds, "each lookup found one route", look="route_lookup")


def test_statistics(answers):
    expect.equal(answers["live"], 4, "routes that are left", look="entry_count")
    expect.equal(answers["freed"] + answers["live"], answers["inserted"], "routes that are live or freed",
                 look="the callbacks: each entry comes to entry_free once")  # fmt: skip
    expect.holds(answers["longest"] >= STAY_MS * 0.8, "the longest wait is no shorter than a reader stayed",
                 observed=f"{answers['longest']} ms", expected=f"{STAY_MS} ms or more",
                 look="deleted_at; when entry_free is called")  # fmt: skip


def test_unload(answers):
    expect.equal(answers["rest"], ["gone"], "the table goes, with the routes in it and their cache",
                 look="routes_exit: what each barrier waits for, and which comes first")  # fmt: skip
