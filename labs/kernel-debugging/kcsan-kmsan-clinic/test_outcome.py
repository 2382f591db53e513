# SPDX-License-Identifier: GPL-3.0-or-later
"""The meter's answers under KMSAN, on a dirty stack; then two CPUs and an intruder under KCSAN."""

import re
import struct
from dataclasses import replace

import pytest

from klab.testing import expect, guests

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VERSION = 1
TIMES = 30  # answers of the mended meter in each state
FIRST_US = 100
ROUND_MS = 1500
ROUNDS = 12  # until the meter as it was must have been caught
OFTEN, SELDOM = "1000 1000", "8000 10"  # accesses, and microseconds
KMSAN_S, KCSAN_S = 400, 600
KMSAN_MIB = 1024
MENDED, WILD, STATE = "klab-mended", "klab-wild", "klab-state"
ANY = (".",)  # this test reads the complaints itself

# A program takes seconds to begin under KMSAN, so there are few.
KMSAN = """
cd /klab
insmod dirt.ko || exit 1
# states MODULE TIMES: the last answer of each state
states() {{
  insmod $1.ko || exit 2
  k=0 ended=0
  while read -r label filled; do
    echo -n $label >/sys/module/$1/parameters/label
    [ $filled = $ended ] || ./meterctl event $(({us}+ended)) $((filled-ended))
    ended=$filled
    echo "{state} $k" >/dev/kmsg
    ./meterctl stats $2 >/klab/out/$1-$k || exit 3
    k=$((k+1))
  done <states
  rmmod $1 || exit 4
}}
echo {mended} >/dev/kmsg
states meter {times}
echo {wild} >/dev/kmsg
states wild 1
"""

KCSAN = """
cd /klab; p=/sys/module/load/parameters; k=/sys/module/kcsan/parameters
# How many accesses go by until KCSAN looks at one, and for how long it does. A long look lets the other CPU
# come by on a busy host, too; what else runs here is left alone.
watch() {{ echo $1 >$k/skip_watch; echo $2 >$k/udelay_task; }}
watch {seldom}
round() {{ watch {often}; echo {ms} >$p/$1; watch {seldom}; }}
reports() {{ dmesg -c | grep "BUG: KCSAN" >>/tmp/reports; }}
reported() {{ grep -qE "in meter_$1 .*meter_$2 " /tmp/reports; }}
all() {{ reported begin begin && reported end "(end|longest)" && reported "(begin|busy)" "(busy|end)"; }}
peeked() {{ grep -q intruder_peek /tmp/reports; }}
dmesg -c >/dev/null; : >/tmp/reports
insmod wild.ko && insmod load.ko || exit 1
n=0
until all || [ $n = {rounds} ]; do round run; reports; n=$((n+1)); done
m=0
until peeked || [ $m = {rounds} ]; do round peek; reports; m=$((m+1)); done
all && peeked || {{ echo calibrated=0; cat /tmp/reports; exit; }}
echo calibrated=$n peeks=$m
rmmod load && rmmod wild || exit 2
insmod meter.ko && insmod load.ko || exit 3
n=$((2*n+2))
while [ $n -gt 0 ]; do round run; cat $p/result; n=$((n-1)); done
: >/tmp/reports
m=$((2*m+4))
until peeked || [ $m = 0 ]; do round peek; reports; m=$((m-1)); done
peeked && echo intruder=1 || echo intruder=0
rmmod load && rmmod meter && echo gone
"""


class Drawn:
    """Sizes, and states of the meter: [(its label, how many requests have ended)]."""

    def __init__(self, rnd):
        self.label, self.slots = rnd.randrange(9, 40), rnd.randrange(3, 9)
        lengths = (rnd.randrange(1, 4), rnd.randrange(4, self.label - 1), self.label + rnd.randrange(3))
        filled = (0, rnd.randrange(1, self.slots), self.slots + rnd.randrange(3))
        self.states = [
            ("".join(rnd.choices(LETTERS, k=length)), count)
            for length, count in zip(rnd.sample(lengths, 3), filled, strict=True)
        ]

    def header(self, text):
        """The starter's header with these sizes."""
        for name, value in (("LABEL", self.label), ("SLOTS", self.slots)):
            text = re.sub(rf"^#define {name} \d+", f"#define {name} {value}", text, flags=re.M)
        return text

    def answer(self, state):
        """The bytes of a right answer, with zeros wherever nothing is to be said."""
        label, filled = state
        took = [FIRST_US + n for n in range(filled)]
        history = (took[::-1] + [0] * self.slots)[: self.slots]
        shape = f"@IQH{self.label}sB{self.slots}II0Q"
        name = label.encode()[: self.label - 1]
        full = int(filled >= self.slots)
        return struct.pack(shape, VERSION, filled, 0, name, full, *history, max(took, default=0))


@pytest.fixture(scope="module")
def drawn(lab):
    return Drawn(lab.random)


@pytest.fixture(scope="module")
def more(lab, drawn):
    """What goes into each build: the grader's sizes; what is not compiled is left out."""
    header = drawn.header((lab.spec.starter / "meter.h").read_text())
    return {"meter.h": header, "leaks.py": "", "race.sh": "", "leak.sh": ""}


@pytest.fixture(scope="module")
def ours(lab, more):
    """The meter as it was, with what uses it: the same for all students of a seed."""
    makefile = (lab.spec.starter / "Makefile").read_text().replace("meter.o load.o", "wild.o load.o dirt.o")
    starter = lab.spec.starter / "meter.c"
    dirt = lab.spec.folder / "grader/dirt.c"
    return lab.restored({**more, "wild.c": starter, "meter.c": starter, "dirt.c": dirt, "Makefile": makefile})


@pytest.fixture(scope="module")
def mended(lab, more):
    """The student's meter alone."""
    makefile = (lab.spec.starter / "Makefile").read_text()
    makefile = makefile.replace("meter.o load.o", "meter.o").replace("all: meterctl", "all:")
    return lab.restored({**more, "load.c": "", "meterctl.c": "", "Makefile": makefile})


@pytest.fixture(scope="module")
def answers(guest, ours, mended, drawn):
    """What a guest of kmsan left: by file, and the console of the mended meter's part."""
    built = ours.make(kernel="kmsan")
    files = {f"klab/{name}": built.file(name) for name in ("wild.ko", "dirt.ko", "meterctl")}
    files["klab/meter.ko"] = mended.make(kernel="kmsan").file("meter.ko")
    files["klab/states"] = "".join(f"{label} {filled}\n" for label, filled in drawn.states)
    script = KMSAN.format(mended=MENDED, wild=WILD, state=STATE, us=FIRST_US, times=TIMES)
    open_gate = replace(guest, spec=replace(guest.spec, splats=ANY))
    ran = open_gate(script, kernel="kmsan", files=files, cpus=1, memory=KMSAN_MIB, deadline_s=KMSAN_S)
    _, _, after = "\n".join(ran.console).partition(MENDED)
    mended_said, _, wild_said = after.partition(WILD)
    logs = re.split(rf"{STATE} \d\n", wild_said)[1:]
    return {"status": ran.status, "left": ran.results, "mended": mended_said.splitlines(), "logs": logs}


def ranges(log):
    """What KMSAN says of bytes that nobody has written."""
    found = re.findall(r"Bytes? (\d+)(?:-(\d+))? of \d+ (?:is|are) uninitialized", log)
    return [f"{first}-{last or first}" for first, last in found]


@pytest.fixture(scope="module")
def truth(answers, drawn):
    """The ranges of each state, as KMSAN reports them of the meter as it was."""
    told = [ranges(log) for log in answers["logs"]]
    known = len(told) == len(drawn.states) and all(told)
    # What lies on the stack is the pattern, or what the kernel has put over it since.
    old = any(answers["left"].get(f"wild-{k}") != drawn.answer(state) for k, state in enumerate(drawn.states))
    if answers["status"] == 0 and not (known and old):
        expect.cannot_tell(f"KMSAN reports {told} of the meter as it was; old bytes in its answers: {old}")
    return told


def test_ends(answers):
    expect.equal(answers["status"], 0, "under KMSAN the meter loads, answers and goes", look="meter_answer")


@pytest.mark.parametrize("turn", range(3))
def test_leaks_are_known(lab, drawn, truth, turn):
    label, filled = drawn.states[turn]
    folder = lab.restored({"meter.h": drawn.header((lab.spec.starter / "meter.h").read_text())}).workspace
    said = lab.run(["python3", "leaks.py", "meter.h", str(len(label)), str(filled)], folder=folder)
    expect.equal(said.code, 0, "leaks.py ends well", look=said.err[-600:] or "leaks.py")
    expect.equal(said.out.split(), truth[turn],
                 f"bytes that are not written, with a label of {len(label)} and {filled} requests"
                 f" (LABEL {drawn.label}, SLOTS {drawn.slots})",
                 look="leaks.py; klab guest --make -- kmsan sh leak.sh")  # fmt: skip


@pytest.mark.parametrize("turn", range(3))
def test_answers(answers, drawn, truth, turn):
    label, filled = drawn.states[turn]
    expect.equal(answers["left"].get(f"meter-{turn}", b"").hex(" "), drawn.answer((label, filled)).hex(" "),
                 f"the answer, byte by byte, after {filled} requests, with the label {label}"
                 f" (LABEL {drawn.label}, SLOTS {drawn.slots})",
                 look="meter_answer: all that it hands out, between the fields, too")  # fmt: skip


def test_kmsan_is_silent(lab, answers):
    guests.gate(lab.spec, answers["mended"], look="meter_answer")
    expect.holds(True, "KMSAN has nothing to report of the mended meter", observed="", expected="", look="")


@pytest.fixture(scope="module")
def raced(guest, ours, mended):
    """The lines of a guest of kcsan; the gate has looked at the reports."""
    built = ours.make()
    files = {f"klab/{name}": built.file(name) for name in ("wild.ko", "load.ko")}
    files["klab/meter.ko"] = mended.make().file("meter.ko")
    script = KCSAN.format(rounds=ROUNDS, ms=ROUND_MS, often=OFTEN, seldom=SELDOM)
    ran = guest(script, files=files, memory=512, deadline_s=KCSAN_S)
    return ran.output.decode(errors="replace").splitlines()


def numbers(line):
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


@pytest.fixture(scope="module")
def rounds(raced):
    """What load saw in each round with the mended meter."""
    if not numbers(raced[0] if raced else "").get("calibrated"):
        expect.cannot_tell(f"KCSAN did not catch the meter as it was: {raced[:8]}")
    return [numbers(line) for line in raced if line.startswith("calls=")]


def test_no_race(rounds, raced):
    wanted = 2 * numbers(raced[0])["calibrated"] + 2
    what = "KCSAN is silent for longer than it took to catch the meter as it was"
    expect.equal(len(rounds), wanted, f"{what}, in rounds", look=f"dmesg; {raced[-3:]}")


def test_nothing_is_lost(rounds):
    seen = [(each["calls"], each["hits"]) for each in rounds]
    expect.equal([pair for pair in seen if pair[0] != pair[1]], [],
                 "rounds in which calls of meter_begin and meter_hits differ", look="hits++")  # fmt: skip
    wrong = [each for each in rounds if not each["hint"]]
    expect.equal(wrong, [], "rounds in which the hint was wrong, with nobody else there", look="meter_busy")
    fell = [each for each in rounds if each["fell"] or each["longest"] != each["highest"]]
    expect.equal(fell, [], "rounds in which meter_longest() was less than what had been reported",
                 look="meter_end: from the look at longest to the store")  # fmt: skip


def test_not_hidden(rounds, raced):
    expect.holds("intruder=1" in raced, "KCSAN still reports who reads `open` without the lock",
                 observed="an intruder in load.c read it for seconds, and KCSAN said nothing",
                 expected="BUG: KCSAN: data-race in intruder_peek / meter_...",
                 look="whether it is the one read that is marked, or what the lock protects")  # fmt: skip
    expect.equal(raced[-1], "gone", "the meter goes", look="dmesg")
