# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report says, a mended depot under opposite moves, its lock_stat, and one report afresh."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from klab.testing import expect
from klab.testing.observe import RECORDER

# What lockdep says of the starter. test_fresh_report looks whether it still does.
SAID = {
    "circular": {"held": "journal_lock", "wanted": "&bin->lock", "in": "depot_audit", "against": "depot_add"},
    "recursive": {"class": "&bin->lock", "in": "depot_move"},
    "interrupt": {
        "class": "history_lock",
        "context": "hardirq",
        "in": "history_show",
        "against": "depot_tick",
    },
}
PLANTED = ("WARNING: possible (circular|recursive) locking", "WARNING: inconsistent lock state")
ROUNDS = 40  # moves of each program; each takes some milliseconds
# Then fewer, whose way is so long that with one lock for all nearly each of them waits, on a slow
# host, too. Some may wait for the journal.
FEW, LONG_US = 20, 40_000
WAITING = 0.25
DEADLINE_S, FRESH_S = 150, 40
STUCK = 3  # exit status of SCRIPT

# Programs at once end with a line in /tmp/ended; the script waits for these, never for a program.
SCRIPT = """
cd /klab; c=/proc/depot/control
insmod depot.ko walk_us=1000 || exit 1
while read -r line; do {{ echo "$line" >$c && echo ok; }} 2>&1; done <story
cat /proc/depot/bins
many() {{
  n=0
  while [ $n -lt $rounds ]; do eval "$1" || echo "$1" >>/tmp/refused; n=$((n+1)); done
  echo >>/tmp/ended
}}
together() {{
  : >/tmp/ended; : >/tmp/refused
  for command; do many "$command" 2>/dev/null & done
  n=0
  while [ $(wc -l </tmp/ended) -lt $# ]; do
    [ $n -lt 60 ] || {{ echo stuck; exit {stuck}; }}
    usleep 500000; n=$((n+1))
  done
  sort /tmp/refused | uniq -c
}}
echo "<<opposite"
rounds={rounds}
h=/proc/depot/history
together "echo move {a} {b} 1 >$c" "echo move {b} {a} 1 >$c" "echo audit {a} >$c" "read -r x <$h"
cat /proc/depot/bins
echo "<<apart"
rounds={few}; echo {long} >/sys/module/depot/parameters/walk_us
echo 0 >/proc/lock_stat
together "echo move {a} {b} 1 >$c" "echo move {d} {e} 1 >$c"
cat /proc/lock_stat >/klab/out/lock_stat
cat /proc/depot/bins
rmmod depot && echo gone
"""


def story(rnd, goods):
    """[(command, the end of the answer)] of additions and moves, and what lies in the bins afterwards."""
    bins, told = [0] * len(goods), []

    def do(command, answer):
        told.append((command, answer))

    for number, count in enumerate(goods):
        do(f"add {number} {count}", "ok")
        bins[number] = count
    for _ in range(8):
        one, two = rnd.sample(range(len(bins)), 2)
        count = rnd.choice([1, 5, bins[one] + 1])
        fits = bins[one] >= count
        do(f"move {one} {two} {count}", "ok" if fits else "No space left on device")
        if fits:
            bins[one] -= count
            bins[two] += count
        do(f"audit {rnd.choice([one, two])}", "ok")
    do(f"move {one} {one} 1", "Invalid argument")
    return told, bins


def fields(line):
    return [int(word) for word in line.split()]


@pytest.fixture(scope="module")
def run(lab, guest):
    """What was said and what should be, by part of the script."""
    rnd = lab.random
    told, bins = story(rnd, [rnd.randrange(2 * ROUNDS + 20, 200) for _ in range(8)])
    a, b, d, e = rnd.sample(range(8), 4)
    ran = guest(
        SCRIPT.format(rounds=ROUNDS, few=FEW, long=LONG_US, stuck=STUCK, a=a, b=b, d=d, e=e),
        files={
            "klab/depot.ko": lab.make().file("depot.ko"),
            "klab/story": "".join(f"{line}\n" for line, _ in told),
        },
        deadline_s=DEADLINE_S,
    )
    first, _, rest = ran.output.decode(errors="replace").partition("<<opposite\n")
    opposite, _, apart = rest.partition("<<apart\n")
    later = list(bins)
    for source, target in ((a, b), (d, e)):
        later[source] -= FEW
        later[target] += FEW
    stat = ran.results.get("lock_stat", b"").decode(errors="replace")
    return {"told": told, "first": first.splitlines(), "bins": bins, "opposite": opposite.splitlines(),
            "apart": apart.splitlines(), "later": later, "stat": stat, "status": ran.status}  # fmt: skip


def contended(stat):
    """How often somebody waited for a lock whose waiters, or holders, are in the module."""
    total, count = 0, 0
    for line in stat.splitlines():
        if found := re.match(r"\s*\S.*?:\s+\d+\s+(\d+) ", line):
            count = int(found[1])
        elif "[depot]" in line:
            total, count = total + count, 0  # each class once
    return total


def diagnosis(lab):
    try:
        said = json.loads((lab.workspace / "report.json").read_text())
    except (OSError, ValueError) as error:
        said = str(error)
    expect.holds(isinstance(said, dict), "report.json is JSON", observed=str(said), expected="an object",
                 look="report.json")  # fmt: skip
    return said


@pytest.mark.parametrize("kind", SAID)
def test_diagnosis(lab, kind):
    written = diagnosis(lab).get(kind)
    written = written if isinstance(written, dict) else {}
    wrong = {name: written.get(name) for name, value in SAID[kind].items() if written.get(name) != value}
    expect.holds(not wrong, f"report.json says what the {kind} report says",
                 observed=json.dumps(wrong), expected="as the report prints it, and nothing behind a name",
                 look=f"klab guest --make san -- sh try.sh {kind}")  # fmt: skip


def test_one_after_the_other(run):
    answers = [f"{line}: {answer}" for line, answer in run["told"]]
    seen = [
        f"{line}: {answer if said.endswith(answer) else said}"
        for (line, answer), said in zip(run["told"], run["first"], strict=False)
    ]
    expect.equal(seen, answers, "commands one after the other are answered as before", look="control_write")
    expect.equal(fields(run["first"][-1]), run["bins"], "the goods lie where they should",
                 look="depot_add, depot_move")  # fmt: skip


def test_opposite_moves(run):
    expect.holds("stuck" not in run["opposite"], "moves to and fro between two bins come to an end",
                 observed="programs hang, and lockdep said nothing",
                 expected="two bins are always taken in the same order",
                 look="depot_move; what mutex_lock_nested() promises")  # fmt: skip
    *refused, bins = run["opposite"]
    expect.equal(refused, [], "no move and no audit fails while others are under way",
                 look="depot_audit: which locks are held while bin and journal are compared")  # fmt: skip
    expect.equal(fields(bins), run["bins"], "nothing got lost on the way", look="depot_move")


def test_nobody_waits_without_need(run):
    *refused, bins, gone = run["apart"] or ["", ""]
    expect.equal((refused, gone), ([], "gone"), "moves between different bins work, and the module goes",
                 look="depot_move; dmesg")  # fmt: skip
    expect.equal(fields(bins), run["later"], "the goods lie where they should afterwards", look="depot_move")
    waits, most = contended(run["stat"]), int(2 * FEW * WAITING)
    expect.holds(waits <= most, "programs that use different bins do not wait for each other",
                 observed=f"{waits} waits in {2 * FEW} moves", expected=f"{most} at most",
                 look="/proc/lock_stat; which locks are held during walk()")  # fmt: skip


def parsed(lines):
    """What a fresh report says, as far as it can be told without its stack traces."""
    text = "\n".join(lines)
    lock = r"\((\S+)\)\{\S+, at: (\w+)"
    if found := re.search(rf"trying to acquire lock:.*?{lock}.*?already holding lock:.*?{lock}", text, re.S):
        wanted, place, held, _ = found.groups()
        if wanted == held:
            return "recursive", {"class": held, "in": place}
        return "circular", {"held": held, "wanted": wanted, "in": place}
    if found := re.search(rf"\{{IN-(\w+)-W\}} -> .*?{lock}", text, re.S):
        return "interrupt", {"context": found[1].lower(), "class": found[2], "in": found[3]}
    return "none", {}


def test_fresh_report(lab, guest, tmp_path):
    """The starter once more: what report.json is compared with is what this kernel says."""
    if not RECORDER.good:
        expect.cannot_tell("a fresh report is brought out when all else passes")
    work = shutil.copytree(lab.spec.starter, tmp_path / "work")
    built = replace(lab, workspace=work, builds=tmp_path / "builds", _made={}).make()
    kind = lab.random.choice(list(SAID))
    files = {"klab/depot.ko": built.file("depot.ko"), "klab/try.sh": work / "try.sh"}
    seeded = replace(guest, spec=replace(lab.spec, splats=PLANTED))
    # The report comes first; then the guest may really hang, as the tick comes while history is read.
    ran = seeded(f"cd /klab; sh try.sh {kind}", files=files, deadline_s=FRESH_S, may_die=True)
    seen, said = parsed(ran.console)
    if seen != kind or said.items() - SAID[kind].items():
        expect.cannot_tell(f"the {kind} report of this kernel is another one: {seen} {said}")
    expect.holds(True, f"a fresh {kind} report says the same", observed="", expected="", look="")
