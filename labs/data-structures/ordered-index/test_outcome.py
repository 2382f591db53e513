# SPDX-License-Identifier: GPL-3.0-or-later
"""Random commands against a model, the time of a search in small and large trees, an unload."""

import re

import pytest

from klab.testing import expect
from klab.testing.guests import LEAKS
from klab.testing.observe import RECORDER

LOOK = "look"
OK, EXISTS, MISSING, BUSY = "ok", "File exists", "No such file or directory", "Device or resource busy"
TOP = (1 << 32) - 1
PARTS = {
    "tree": {"insert", "erase", "next", "range"},
    "array": {"new", "put", "drop", "mark", "unmark", "sweep"},
}
MANY = 6000  # items of the large tree
BATCH = 120  # commands in a write
ROUNDS = 60
SLOWER = 5  # times; the large tree is six times as high, and a walk over it a thousand times as long

# Each command gives a block: "<number", ok or the shell's words with the error, an answer.
SCRIPT = """
cd /klab; mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; d=/sys/kernel/debug/index; c=$d/control
insmod index.ko limit={limit} || exit 1
n=0
while read -r line; do
  n=$((n+1)); echo "<$n"
  case $line in
    look) for view in range ids marked; do echo "$view:"; cat $d/$view; done; continue ;;
    next*|new*|sweep) wants=yes ;;
    *) wants= ;;
  esac
  {{ echo "$line" >$c && echo ok && if [ $wants ]; then read -r x <$d/answer; echo "$x"; fi; }} 2>&1
done <story
echo "<<unload"
rmmod index && echo gone; ls -d $d /sys/kernel/slab/index_item 2>/dev/null
[ -e many ] || exit 0
insmod index.ko
timed() {{
  for try in 1 2 3; do
    read -r from rest </proc/uptime; i=0
    while [ $i -lt {rounds} ]; do echo "$queries" >$c; i=$((i+1)); done
    read -r to rest </proc/uptime; echo "$1 $from $to"
  done
}}
read -r queries <queries
echo "insert 1 1;insert 2 2;insert 3 3;insert 4 4" >$c; timed small
while read -r line; do echo "$line" >$c; done <many
timed large; cat $d/answer; rmmod index
"""


class Model:
    """What the module should do."""

    def __init__(self, limit):
        self.limit = limit
        self.tree, self.ids, self.marked, self.window = {}, {}, set(), (0, TOP)

    def do(self, verb, a=0, b=0):
        """The lines of a command's block."""
        return getattr(self, verb)(a, b)

    def insert(self, key, value):
        if key in self.tree:
            return [EXISTS]
        self.tree[key] = value
        return [OK]

    def erase(self, key, _):
        return [MISSING if self.tree.pop(key, None) is None else OK]

    def next(self, key, value):
        found = next((k for k in sorted(self.tree) if k >= key and self.tree[k] >= value), None)
        return [OK, "none" if found is None else f"{found} {self.tree[found]}"]

    def range(self, low, high):
        self.window = (low, high)
        return [OK]

    def new(self, value, _):
        free = next((i for i in range(1, self.limit + 1) if i not in self.ids), None)
        if free is None:
            return [BUSY]
        self.ids[free] = value
        return [OK, str(free)]

    def put(self, number, value):
        if number in self.ids:
            return [EXISTS]
        self.ids[number] = value
        return [OK]

    def drop(self, number, _):
        self.marked.discard(number)
        return [MISSING if self.ids.pop(number, None) is None else OK]

    def mark(self, number, _):
        if number in self.ids:
            self.marked.add(number)
        return [OK if number in self.ids else MISSING]

    def unmark(self, number, _):
        self.marked.discard(number)
        return [OK if number in self.ids else MISSING]

    def sweep(self, *_):
        count = len(self.marked)
        for number in self.marked:
            del self.ids[number]
        self.marked.clear()
        return [OK, str(count)]

    def look(self):
        low, high = self.window
        tree = [f"{k} {v}" for k, v in sorted(self.tree.items()) if low <= k <= high]
        ids = [(i, f"{i} {v}") for i, v in sorted(self.ids.items())]
        marked = [text for i, text in ids if i in self.marked]
        return {"range": tree, "ids": [text for _, text in ids], "marked": marked}


def story(rnd, limit, length):
    """[(command, its block)] of random commands, with looks between them."""
    model, told = Model(limit), []
    far = [rnd.randrange(limit + 1, 1 << 20), rnd.randrange(1 << 20, TOP), TOP]

    def number():
        return rnd.choice([rnd.randrange(1, limit + 1), rnd.randrange(1, limit + 1), rnd.choice(far)])

    def value():
        return rnd.choice([rnd.randrange(8), rnd.randrange(TOP), TOP - rnd.randrange(3)])

    makes = {
        "insert": (24, lambda: (rnd.randrange(80), value())),
        "erase": (14, lambda: (rnd.randrange(80),)),
        "next": (20, lambda: (rnd.randrange(80), value())),
        "range": (3, lambda: (rnd.randrange(60), rnd.choice([TOP, rnd.randrange(80)]))),
        "new": (14, lambda: (value(),)),
        "put": (5, lambda: (number(), value())),
        "drop": (8, lambda: (number(),)),
        "mark": (8, lambda: (number(),)),
        "unmark": (3, lambda: (number(),)),
        "sweep": (1, lambda: ()),
    }
    verbs = rnd.choices(list(makes), [share for share, _ in makes.values()], k=length)
    for count, verb in enumerate(verbs, 1):
        words = makes[verb][1]()
        told.append((" ".join(map(str, (verb, *words))), model.do(verb, *words)))
        if count % 25 == 0 or count == length:
            told.append((LOOK, model.look()))
    return told


def viewed(lines):
    """{view: its lines} of a look."""
    found, into = {}, []
    for line in lines:
        if line.endswith(":"):
            into = found.setdefault(line[:-1], [])
        else:
            into.append(line)
    return found


class Run:
    """One guest's whole story: what was sent and what came back."""

    def __init__(self, guest, built, rnd, *, length, timed, **place):
        limit = rnd.randrange(6, 20)
        self.story = story(rnd, limit, length)
        files = {"story": "".join(f"{command}\n" for command, _ in self.story)}
        if timed:
            keys = rnd.sample(range(10, TOP), MANY)
            lines = [";".join(f"insert {k} {rnd.randrange(TOP // 2)}" for k in keys[n : n + BATCH])
                     for n in range(0, MANY, BATCH)]  # fmt: skip
            files["many"] = "".join(f"{line}\n" for line in lines)
            files["queries"] = ";".join([f"next 0 {TOP - rnd.randrange(1000)}"] * BATCH) + "\n"
        laid = {f"klab/{name}": text for name, text in files.items()} | {
            "klab/index.ko": built.file("index.ko")
        }
        ran = guest(SCRIPT.format(limit=limit, rounds=ROUNDS), files=laid, **place)
        told, _, rest = ran.output.decode(errors="replace").partition("<<unload\n")
        self.blocks = {
            int(b.split("\n")[0]): b.splitlines()[1:] for b in re.split(r"^<(?=\d)", told, flags=re.M)[1:]
        }
        self.unload = rest.splitlines()

    def first_difference(self, part):
        """(where, observed, expected) of the first wrong answer to commands of a part."""
        for number, (command, block) in enumerate(self.story, 1):
            if command.split()[0] not in PARTS[part]:
                continue
            said = self.blocks.get(number) or ["(nothing)"]
            if not said[0].endswith(block[0]) or said[1:] != block[1:]:
                return f"command {number}, '{command}'", said, block
        return None

    def first_view(self, name):
        """The same for a view."""
        for number, (command, views) in enumerate(self.story, 1):
            seen = viewed(self.blocks.get(number, [])) if command == LOOK else {}
            if command == LOOK and seen.get(name) != views[name]:
                return f"after command {number - 1}", seen.get(name), views[name]
        return None

    def check_story(self):
        looks = {"tree": "tree_insert, tree_erase, tree_next; is max right?", "array": "id_new to ids_sweep"}
        for part, look in looks.items():
            count = sum(command.split()[0] in PARTS[part] for command, _ in self.story)
            same(
                self.first_difference(part),
                f"{count} commands of the {part} are answered as they should be",
                look,
            )
        for view in ("range", "ids", "marked"):
            same(
                self.first_view(view),
                f"the view {view} shows exactly what it should, in order",
                f"{view}_show",
            )

    def check_unload(self):
        expect.equal(
            self.unload[:1], ["gone"], "the module unloads with items in both stores", look="free_all"
        )
        left = [line for line in self.unload if line.startswith("/")]
        expect.equal(left, [], "nothing of it is left", look="index_exit")


def same(different, what, look):
    """One observation; different: the first difference (where, observed, expected), if there is one."""
    where, observed, expected = different or ("", "", "")
    expect.holds(not different, what, observed=f"{where}: {observed}", expected=str(expected), look=look)


@pytest.fixture(scope="module")
def run(lab, guest):
    return Run(guest, lab.make(), lab.random, length=1200, timed=True)


def test_commands(run):
    run.check_story()


def test_unload(run):
    run.check_unload()


def test_next_leaves_out_subtrees(run):
    took = {"small": [], "large": []}
    for line in run.unload:
        if found := re.fullmatch(r"(small|large) ([\d.]+) ([\d.]+)", line):
            took[found[1]].append(float(found[3]) - float(found[2]))
    if not all(took.values()):
        expect.fail("searches in a small and a large tree end", observed=run.unload, expected="times of both",
                    look="tree_insert, tree_next")  # fmt: skip
    expect.equal(run.unload[-1], "none", f"none of {MANY} items has such a value", look="tree_next")
    # The clock has ticks of 10 ms: below two of them nothing is said.
    small, large = max(min(took["small"]), 0.02), min(took["large"])
    expect.holds(large < SLOWER * small, f"next among {MANY}: less than {SLOWER} times as long as among 4",
                 observed=f"{large / small:.0f} times as long", expected="about as long",
                 look="tree_next: which subtrees does max leave out?")  # fmt: skip


@pytest.mark.flavour("san")
def test_silent_on_san(lab, guest):
    """The same, shorter, where each access is watched."""
    if not RECORDER.good:
        expect.cannot_tell("whether it is silent under san is looked at when all else passes")
    seen = Run(guest, lab.make(kernel="san"), lab.random, length=150, timed=False,
               kernel="san", deadline_s=400, **LEAKS)  # fmt: skip
    seen.check_story()
    seen.check_unload()
