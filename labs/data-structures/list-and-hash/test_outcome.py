# SPDX-License-Identifier: GPL-3.0-or-later
"""Random commands against a model, writers at the same time, and an unload with items inside."""

from collections import Counter

import pytest

from klab.testing import expect
from klab.testing.guests import LEAKS
from klab.testing.observe import RECORDER

LOOK = "look"
OK, EXISTS, MISSING, INVALID = "ok", "File exists", "No such file or directory", "Invalid argument"
FIRST, LATER = 1_000, 2_000  # ids that the writers begin with, and that they add

# Each command of the story gives one line: ok, or the shell's words with the error.
SCRIPT = """
cd /klab; c=/proc/lablist/control
insmod lablist.ko || exit 1
both() {{ echo "<list"; cat /proc/lablist/list; echo "<hash"; cat /proc/lablist/hash; echo "<end"; }}
while read -r line; do
  case $line in {look}) both ;; *) {{ echo "$line" >$c && echo ok; }} 2>&1 ;; esac
done <story
echo "<<together"
while read -r line; do echo "$line" >$c; done <before
many() {{ i=0; while [ $i -lt {rounds} ]; do eval "$1"; i=$((i+1)); done; }}
many 'echo sort >$c' &
many 'read -r x </proc/lablist/list; read -r x </proc/lablist/hash' &
while read -r line; do echo "$line" >$c; done <changes
wait
echo sort >$c
both
echo "<<unload"
rmmod lablist && echo gone
ls -d /proc/lablist /sys/kernel/slab/lablist_item 2>/dev/null
insmod lablist.ko && both && rmmod lablist
"""


class Model:
    """What the module should do."""

    def __init__(self):
        self.items = []

    def at(self, number):
        return next((n for n, (have, _) in enumerate(self.items) if have == number), None)

    def do(self, verb, *words):
        """The answer to a command."""
        place = self.at(words[0]) if words else None
        if verb == "sort":
            self.items.sort(key=lambda item: item[1])
        elif verb == "add":
            if place is not None:
                return EXISTS
            self.items.append(words)
        elif place is None:
            return MISSING
        elif verb == "del":
            self.items.pop(place)
        elif verb == "front":
            self.items.insert(0, self.items.pop(place))
        return OK


def weight(rnd):
    """Small ones that are often equal, and large ones whose difference is no int."""
    return rnd.choice([rnd.randrange(5), rnd.randrange(1 << 32), (1 << 32) - 1 - rnd.randrange(5)])


def story(rnd, length):
    """[(command, the answer, items afterwards)] of random commands with looks between them."""
    model, told_so = Model(), []
    for number in range(1, length + 1):
        verb = rnd.choices(["add", "del", "front", "find", "sort"], [40, 20, 15, 20, 5])[0]
        words = {"add": (rnd.randrange(40), weight(rnd)), "sort": ()}.get(verb, (rnd.randrange(40),))
        answer = model.do(verb, *words)
        told_so.append((" ".join(map(str, (verb, *words))), answer, None))
        if number % 20 == 0:
            told_so.append((LOOK, "", list(model.items)))
    bad = rnd.choice(["add 5", "drop 3", "sort 1", "del", "add x 1"])
    return [*told_so, (bad, INVALID, None), (LOOK, "", list(model.items))]


def together(rnd, count):
    """(before, changes, items that are there at the end) for writers at the same time."""
    before = [(FIRST + n, rnd.randrange(1 << 32)) for n in range(count)]
    added = [(LATER + n, rnd.randrange(1 << 32)) for n in range(count)]
    changes, gone = [], set()
    for n, item in enumerate(added):
        changes.append(f"add {item[0]} {item[1]}")
        if n % 2:
            gone |= {item[0], before[n][0]}
            changes += [f"del {item[0]}", f"del {before[n][0]}"]
    left = [item for item in before + added if item[0] not in gone]
    return [f"add {a} {b}" for a, b in before], changes, left


def pairs(lines):
    return [tuple(map(int, line.split())) for line in lines]


def views(lines):
    """The two views that `both` printed at the start of `lines`, which are taken off."""
    found = {"list": [], "hash": []}
    into = None
    while lines:
        line = lines.pop(0)
        if line == "<end":
            break
        if line in ("<list", "<hash"):
            into = found[line[1:]]
        elif into is not None:
            into.append(line)
    return pairs(found["list"]), pairs(found["hash"])


def some(items):
    return ", ".join(str(item) for item in sorted(items.elements())[:5]) or "none"


def same(different, what, look):
    """One observation; different: the first difference (where, observed, expected), if there is one."""
    where, observed, expected = different or ("", "", "")
    expect.holds(not different, what, observed=f"{where}: {observed}", expected=str(expected), look=look)


class Run:
    """One guest's whole story: what was sent and what came back."""

    def __init__(self, guest, built, rnd, *, length, count, **place):
        self.story = story(rnd, length)
        before, changes, left = together(rnd, count)
        self.left = [*self.story[-1][2], *left]
        texts = {"story": [command for command, _, _ in self.story], "before": before, "changes": changes}
        files = {f"klab/{name}": "".join(f"{line}\n" for line in lines) for name, lines in texts.items()}
        files["klab/lablist.ko"] = built.file("lablist.ko")
        ran = guest(SCRIPT.format(look=LOOK, rounds=count), files=files, **place)
        self.answers, _, rest = ran.output.decode(errors="replace").partition("<<together\n")
        self.together, _, self.unload = rest.partition("<<unload\n")

    def check_story(self):
        lines = self.answers.splitlines()
        last = wrong = order = table = None
        for number, (command, answer, items) in enumerate(self.story, 1):
            if items is None:
                said = lines.pop(0) if lines else "(nothing more)"
                last = f"command {number}, '{command}'"
                if not said.endswith(answer):
                    wrong = wrong or (last, said, answer)
                continue
            seen = views(lines)
            order = order or (seen[0] != items and (last, seen[0], items))
            table = table or (sorted(seen[1]) != sorted(items) and (last, sorted(seen[1]), sorted(items)))
        same(wrong, f"{len(self.story)} commands are answered as they should be", "the first: control_write")
        same(order, "the order is right after each command", "what each command does to the list")
        same(table, "list and hash table hold the same", "hash_add, hash_del; is the key still the id?")

    def check_together(self):
        lines = self.together.splitlines()
        refused = [line for line in lines[: lines.index("<list")] if line] if "<list" in lines else lines
        expect.equal(refused, [], "no command fails while several programs write", look="your lock")
        order, table = views(lines)
        for name, found in (("list", order), ("hash table", table)):
            lost, strange = Counter(self.left) - Counter(found), Counter(found) - Counter(self.left)
            expect.holds(not lost and not strange, f"the {name} is right after writers at the same time",
                         observed=f"lost: {some(lost)}, too many: {some(strange)}", expected="none of both",
                         look="which functions hold the lock; from where to where")  # fmt: skip
        weights = [item[1] for item in order]
        expect.equal(weights, sorted(weights), "the order is by weight after a last sort", look="items_sort")

    def check_unload(self):
        lines = self.unload.splitlines()
        expect.equal(lines[:1], ["gone"], "the module unloads with items in it", look="lablist_exit")
        expect.equal([line for line in lines if line.startswith("/")], [], "nothing of it is left",
                     look="lablist_exit: /proc and the cache")  # fmt: skip
        expect.holds("<end" in lines, "it loads once more", observed=self.unload, expected="a second insmod",
                     look="dmesg")  # fmt: skip
        expect.equal(views(lines), ([], []), "a module that was just loaded is empty", look="lablist_init")


@pytest.fixture(scope="module")
def run(lab, guest):
    return Run(guest, lab.make(), lab.random, length=400, count=200)


def test_commands(run):
    run.check_story()


def test_several_programs(run):
    run.check_together()


def test_unload(run):
    run.check_unload()


@pytest.mark.flavour("san")
def test_silent_on_san(lab, guest):
    """The same, shorter, where each access and each lock is watched."""
    if not RECORDER.good:
        expect.cannot_tell("whether it is silent under san is looked at when all else passes")
    seen = Run(guest, lab.make(kernel="san"), lab.random, length=60, count=40,
               kernel="san", deadline_s=400, **LEAKS)  # fmt: skip
    seen.check_together()
    seen.check_unload()
