# SPDX-License-Identifier: GPL-3.0-or-later
"""The mended zoo, then the zoo as it was, in one guest of san; then the hunter on Debian's own kernel."""

import re
from dataclasses import replace

import pytest

from klab.testing import expect, guests

NAMES = ("heap", "stack", "global", "freed", "twice", "array", "shift", "flag", "pool")
GRANULE = 8  # bytes of memory for which one shadow byte stands
ERANGE = 34
DEADLINE_S = 300
HUNT_S = 60  # for each mistake
SAMPLES = 1500  # the grader's own hunt takes up to so many guarded objects
MENDED, WILD, VISIT, HUNT = "klab-mended", "klab-wild", "klab-visit", "klab-hunt"
STAMP = re.compile(r"^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
ANY = (".",)  # this test reads the complaints itself

SAN = """
cd /klab
echo {mended} >/dev/kmsg
insmod zoo.ko || exit 1
while read -r visit; do echo "$visit" >/proc/zoo; read -r x </proc/zoo; echo "$visit: $x"; done <right
rmmod zoo || exit 2
echo {wild} >/dev/kmsg
# From here on the log is read, not the console, which is slow.
dmesg -n 1
for round in {rounds}; do
  insmod wild.ko || exit 3
  dmesg -c >/dev/null
  while read -r visit; do echo "{visit} $visit" >/dev/kmsg; echo "$visit" >/proc/zoo; done <round-$round
  dmesg >/klab/out/$round
  rmmod wild
done
"""

STOCK = """
cd /klab
insmod wild.ko || exit 1
while read -r name number; do
  echo "{hunt} $name" >/dev/kmsg
  timeout {seconds} sh hunt.sh $name $number </dev/null >"/klab/out/$name" 2>&1
  echo "$name: $?"
done <hunts
echo "{hunt} reference" >/dev/kmsg
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
guarded() {{ sed -n "s/^total allocations: *//p" /sys/kernel/debug/kfence/stats; }}
echo 1 >/sys/module/kfence/parameters/sample_interval
dmesg -c >/dev/null
enough=$(($(guarded)+{samples}))
until dmesg | grep -q "BUG: KFENCE: use-after-free" || [ $(guarded) -ge $enough ]; do
  n=0
  while [ $n -lt 50 ]; do echo "freed 0" >/proc/zoo; n=$((n+1)); done
done
"""


def whole(size):
    """Up to the end of the last granule."""
    return -(-size // GRANULE) * GRANULE


def odd(rnd, low, high):
    """A size whose last granule is not whole."""
    return rnd.choice([size for size in range(low, high) if size % GRANULE])


def beside(rnd, size):
    """Numbers in an array, in its last granule but behind it, and behind that."""
    return [rnd.randrange(size), rnd.randrange(size, whole(size)), whole(size) + rnd.randrange(4)]


class Drawn:
    """Sizes, visits and hunts that the student does not know."""

    def __init__(self, rnd):
        cage = odd(rnd, 41, 100)
        bars = rnd.randrange(5, 30)
        self.size = size = {
            "CAGE": cage,
            "BARS": bars,
            "NOTE": odd(rnd, 17, 60),
            "BOARD": odd(rnd, 17, 60),
            "MEALS": rnd.randrange(4, 30),
        }
        words = cage // 4
        self.visits = {
            "heap": beside(rnd, cage),
            "stack": beside(rnd, size["NOTE"]),
            "global": beside(rnd, size["BOARD"]),
            "freed": [rnd.randrange(2), rnd.randrange(2, words), words],
            "twice": [rnd.randrange(size["MEALS"]), rnd.randrange(size["MEALS"], 50)],
            "array": [rnd.randrange(bars), rnd.randrange(bars, cage), *beside(rnd, cage)[1:]],
            "shift": [31, rnd.randrange(32, 62), -rnd.randrange(1, 9), rnd.randrange(31)],
            "flag": [rnd.randrange(2), rnd.randrange(2, 256), 256, rnd.randrange(258, 500)],
            "pool": [rnd.randrange(1000)],
        }
        # The one that writes where it should not comes last.
        lengths = {"heap": cage, "stack": size["NOTE"], "global": size["BOARD"], "freed": words,
                   "twice": size["MEALS"], "shift": 63, "flag": 256, "pool": 9, "array": bars}  # fmt: skip
        self.right = [
            (name, n)
            for name, length in lengths.items()
            for n in [0, length - 1, length, length + 1, -1, *self.visits[name]]
        ]
        # What KFENCE finds, what it does not, and what it finds when the object lies at the page's end.
        silent = rnd.choice([("stack", size["NOTE"]), ("global", size["BOARD"]), ("heap", cage)])
        found = [("freed", rnd.randrange(words)), ("array", rnd.randrange(cage, whole(cage)))]
        self.hunts = [found.pop(rnd.randrange(2)), silent, *found]
        self.silent = silent[0]

    def header(self):
        return "".join(f"#define {name} {number}\n" for name, number in self.size.items())

    def rounds(self):
        """Visits of which each is the first of its function."""
        count = max(map(len, self.visits.values()))
        return [
            [f"{name} {numbers[k]}" for name, numbers in self.visits.items() if k < len(numbers)]
            for k in range(count)
        ]

    def answer(self, name, n):
        """What the comment above a function says."""
        size = self.size
        if name in {"heap", "stack", "global"}:
            length = size[{"heap": "CAGE", "stack": "NOTE", "global": "BOARD"}[name]]
            return n + 1 if 0 <= n < length else -ERANGE
        fine, value = {
            "freed": (n < size["CAGE"] // 4, 1000 + n),
            "twice": (n < size["MEALS"], 3 * n),
            "array": (n < size["BARS"], 1),
            "shift": (n <= 62, 1 << max(n, 0)),
            "flag": (n < 256, int(n != 0)),
            "pool": (True, n),
        }[name]
        return value if fine and (n >= 0 or name == "pool") else -ERANGE


@pytest.fixture(scope="module")
def drawn(lab):
    return Drawn(lab.random)


@pytest.fixture(scope="module")
def zoos(lab, drawn):
    """Builds, for a kernel, the student's zoo and the zoo as it was, with the grader's sizes."""
    makefile = (lab.spec.starter / "Makefile").read_text().replace("obj-m := zoo.o", "obj-m := wild.o zoo.o")
    more = {"zoo.h": drawn.header(), "wild.c": lab.spec.starter / "zoo.c", "Makefile": makefile}
    # What is not compiled is left out, so that a change to it builds nothing anew.
    return lab.restored({**more, "predict.py": "", "hunt.sh": ""})


@pytest.fixture(scope="module")
def seen(guest, zoos, drawn):
    """What san said: lines of answers, the console by part, what the log had after each visit."""
    built = zoos.make()
    rounds = drawn.rounds()
    files = {f"klab/{name}.ko": built.file(f"{name}.ko") for name in ("zoo", "wild")}
    files["klab/right"] = "".join(f"{name} {n}\n" for name, n in drawn.right)
    files |= {f"klab/round-{k}": "".join(f"{visit}\n" for visit in each) for k, each in enumerate(rounds)}
    numbers = " ".join(str(k) for k in range(len(rounds)))
    open_gate = replace(guest, spec=replace(guest.spec, splats=ANY))
    script = SAN.format(mended=MENDED, wild=WILD, visit=VISIT, rounds=numbers)
    ran = open_gate(script, files=files, deadline_s=DEADLINE_S)
    said = "\n".join(ran.console)
    mended = said.partition(MENDED)[2].partition(WILD)[0].splitlines()
    log = "\n".join(data.decode(errors="replace") for data in ran.results.values())
    parts = re.split(rf"{VISIT} (\w+ -?\d+)\n", log)
    logs = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {"status": ran.status, "out": ran.output.decode(errors="replace"), "mended": mended, "logs": logs}


def place(text):
    """A function's name, without what the compiler and the report put behind it."""
    return re.split(r"[.+ ]", text)[0]


def reports(log):
    """What a log says, in the form of predict.py."""
    lines = [STAMP.sub("", line) for line in log.splitlines()]
    found = []
    for at, line in enumerate(lines):
        rest = lines[at + 1 :]
        if line.startswith("UBSAN: "):
            found.append(f"UBSAN {rest[0] if rest else ''}")
        elif match := re.match(r"BUG: KASAN: (\S+) in (\S+)", line):
            kind, access = match[1], re.match(r"(Read|Write) of size (\d+)", rest[0] if rest else "")
            under = next((n for n, row in enumerate(rest) if row.strip() == "^"), 0)
            caret = rest[under].find("^") if under else 0
            shadow = rest[under - 1][caret : caret + 2]
            what = f", {access[1].lower()} of {access[2]}" if access else ""
            found.append(f"KASAN {kind} in {place(match[2])}{what}, shadow {shadow}")
    return "; ".join(found) or "nothing"


@pytest.fixture(scope="module")
def truth(seen, drawn):
    """{visit: what the kernel reported of it}."""
    told = {visit: reports(log) for visit, log in seen["logs"].items()}
    heap, shift = f"heap {drawn.visits['heap'][1]}", f"shift {drawn.visits['shift'][1]}"
    wanted = ((heap, "KASAN slab-out-of-bounds"), (shift, "UBSAN shift exponent"))
    for visit, word in wanted:
        if not told.get(visit, "").startswith(word):
            expect.cannot_tell(f"this kernel does not report {visit} as it should: {told.get(visit)}")
    return told


@pytest.fixture(scope="module")
def predicted(lab, drawn):
    """{visit: what the student's program says of it}."""
    folder = lab.restored({"zoo.h": drawn.header()}).workspace
    visits = [f"{name} {n}" for name, numbers in drawn.visits.items() for n in numbers]
    (folder / "visits").write_text("".join(f"{visit}\n" for visit in visits))
    said = lab.run(["python3", "predict.py", "zoo.h", "visits"], folder=folder)
    expect.equal(said.code, 0, "predict.py ends well", look=said.err[-600:] or "predict.py")
    return dict(line.split(": ", 1) for line in said.out.splitlines() if ": " in line)


@pytest.mark.parametrize("name", NAMES)
def test_predicted(predicted, truth, drawn, name):
    visits = [f"{name} {n}" for n in drawn.visits[name]]
    sizes = " ".join(f"{key}={value}" for key, value in drawn.size.items())
    expect.equal(
        {visit: predicted.get(visit) for visit in visits},
        {visit: truth.get(visit) for visit in visits},
        f"what is reported of visits to {name} ({sizes})",
        look=f"predict.py; klab guest --make -- san sh visit.sh {name} N",
    )


@pytest.mark.parametrize("name", NAMES)
def test_right_answers(seen, drawn, name):
    lines = dict(line.split(": ", 1) for line in seen["out"].splitlines() if ": " in line)
    wanted = {f"{each} {n}": str(drawn.answer(each, n)) for each, n in drawn.right if each == name}
    wrong = {visit: lines.get(visit) for visit, right in wanted.items() if lines.get(visit) != right}
    expect.equal(
        wrong,
        {},
        f"{name} answers as the comment above it says (wrong ones)",
        look=f"zoo_{name} in zoo.c; right: {', '.join(f'{visit}: {wanted[visit]}' for visit in wrong)}",
    )


def test_silent(lab, seen):
    look = "the first lines of the report; after an error, too, each object is freed once"
    guests.gate(lab.spec, seen["mended"], look=look)
    expect.equal(seen["status"], 0, "the mended zoo is silent, loads and goes", look="dmesg")


@pytest.fixture(scope="module")
def hunted(lab, guest, zoos, drawn):
    """By name: the hunter's exit status, what it said, how often the kernel complained meanwhile."""
    files = {
        "klab/wild.ko": zoos.make(kernel="stock").file("wild.ko"),
        "klab/hunt.sh": lab.workspace / "hunt.sh",
        "klab/hunts": "".join(f"{name} {n}\n" for name, n in drawn.hunts),
    }
    script = STOCK.format(hunt=HUNT, seconds=HUNT_S, samples=SAMPLES)
    open_gate = replace(guest, spec=replace(guest.spec, splats=ANY))
    ran = open_gate(script, kernel="stock", files=files, deadline_s=DEADLINE_S)
    parts = re.split(rf"{HUNT} (\w+)", "\n".join(ran.console))
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    status = dict(re.findall(r"^(\w+): (\d+)$", ran.output.decode(errors="replace"), re.M))
    if "BUG: KFENCE" not in "".join(said.values()):
        expect.cannot_tell("KFENCE does not even find what the grader hunts itself")
    return {
        name: (
            int(status.get(name, -1)),
            len(re.findall(rf"BUG: KFENCE: .* in zoo_{name}\+", said.get(name, ""))),
            ran.results.get(name, b"").decode(errors="replace")[-300:],
        )
        for name, _ in drawn.hunts
    }


@pytest.mark.parametrize("turn", range(3))
def test_hunt(hunted, drawn, turn):
    name, number = drawn.hunts[turn]
    status, count, said = hunted[name]
    visit, size = f"{name} {number}", f"CAGE={drawn.size['CAGE']}"
    if name == drawn.silent:
        expect.equal(status, 1, f"hunt.sh gives {visit} up ({size}), which KFENCE cannot find",
                     look=f"hunt.sh; an older report is not this one's; it said: {said}")  # fmt: skip
        return
    expect.holds(count > 0, f"KFENCE reports {visit} while hunt.sh runs ({size})",
                 observed=f"no report in zoo_{name}; it said: {said}", expected="BUG: KFENCE",
                 look="hunt.sh: how often it visits; /sys/kernel/debug/kfence/stats")  # fmt: skip
    expect.equal(status, 0, f"hunt.sh knows that it has found {visit}", look="hunt.sh")
