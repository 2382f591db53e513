# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupts that come into a push; then KCSAN at each access, until a weak ring is caught and longer."""

import re

import pytest

from klab.testing import expect

LOCKS = re.compile(r"(_raw_|__raw_|mutex_|rt_mutex_|down|queued_)\w*$")
STORM_S, WATCH_S = 40, 300  # a ring in a mess can keep a CPU for ever
CATCHES = 4  # of each weakness: then it is known how many rounds one takes
ROUNDS = 30  # until it must have been caught so often; a quiet host needs one or two
ITEMS = 80  # of a round, for each of its two halves
DELAY_US = 1500  # at a watchpoint: a busy host gets round to the other CPU, too

HEAD = """
cd /klab; p=/sys/module/storm/parameters
set -- $(grep -e " kcsan_skip_watch$" -e " kcsan_udelay_task$" /proc/kallsyms)
case $3 in *skip_watch) skip=$1 delay=$4 ;; *) skip=$4 delay=$1 ;; esac
load() {{ insmod $1.ko $2 && insmod storm.ko skip_watch=0x$skip udelay_task=0x$delay delay_us={delay}; }}
"""
STORM = """
load ring || exit 1
echo {many} >$p/run; cat $p/result
rmmod storm && rmmod ring
"""
WATCH = """
mount -t debugfs debugfs /sys/kernel/debug
watch() {{ echo {items} >$p/watch; }}
races() {{ sed -n "s/^data_races: //p" /sys/kernel/debug/kcsan; }}
# n: rounds until a ring that is too weak was caught {catches} times
calibrate() {{
  load loose early=$1 || exit 1
  n=0 caught=0
  until [ $caught -ge {catches} ] || [ $n = {rounds} ]; do
    before=$(races); watch; n=$((n+1))
    caught=$((caught+$(races)-before))
  done
  rmmod storm && rmmod loose || exit 1
  [ $caught -ge {catches} ] || {{ echo calibrated=0; exit; }}
}}
calibrate 0; first=$n
calibrate 1; [ $n -gt $first ] || n=$first
echo calibrated=$n
load ring || exit 1
n=$((2*n+2))
while [ $n -gt 0 ]; do watch; cat $p/result; n=$((n-1)); done
rmmod storm && rmmod ring && echo gone
"""


@pytest.fixture(scope="module")
def built(lab):
    """The student's ring with the grader's storm, and the ring that is too weak."""
    makefile = (lab.spec.starter / "Makefile").read_text().replace("obj-m :=", "obj-m := loose.o")
    return lab.restored({"loose.c": lab.spec.folder / "grader/loose.c", "Makefile": makefile}).make()


@pytest.fixture(scope="module")
def many(lab):
    return lab.random.randrange(800, 1200)


@pytest.fixture(scope="module")
def ran(guest, built, many):
    """Runs a part of the script in a guest of its own; the lines that it said."""

    def run(part, deadline_s):
        script = (HEAD + part).format(delay=DELAY_US, items=ITEMS, many=many, rounds=ROUNDS, catches=CATCHES)
        files = {f"klab/{name}": built.file(name) for name in ("ring.ko", "storm.ko", "loose.ko")}
        return guest(script, files=files, deadline_s=deadline_s).output.decode(errors="replace").splitlines()

    return run


def numbers(line):
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


def test_no_lock(lab, built):
    built.file("ring.ko")
    said = lab.run(["nm", "-u", "ring.ko"], folder=built.folder)
    taken = sorted({word for word in said.out.split() if LOCKS.match(word)})
    expect.equal((said.code, taken), (0, []), "the module asks the kernel for no lock", look="nm -u ring.ko")


def test_nothing_is_lost(ran, many):
    said = ran(STORM, STORM_S)
    seen = numbers(said[0] if said else "")
    expect.holds(seen.get("pushed", 0) >= 2 * many, "a thread and an interrupt get all their values in",
                 observed=str(seen or said), expected=f"{2 * many} or more",
                 look="ring_push: when is it -ENOSPC?")  # fmt: skip
    wrong = {name: seen.get(name) for name in ("lost", "again", "strange")}
    expect.equal(wrong, {"lost": 0, "again": 0, "strange": 0}, "each producer's values come once, in order",
                 look="ring_push: from reading head to writing it")  # fmt: skip
    expect.equal(seen.get("popped"), seen.get("pushed"), "values that came out", look="ring_pop")
    expect.equal(seen.get("too_long"), 0, "lengths outside of the ring", look="ring_length")


def test_no_data_race(ran):
    """The gate has looked at KCSAN's reports; here, whether it can have missed one."""
    said = ran(WATCH, WATCH_S)
    tried = next((numbers(line)["calibrated"] for line in said if line.startswith("calibrated")), 0)
    if not tried:
        expect.cannot_tell("KCSAN did not even see the ring that is too weak: the host has too much to do")
    watched = [numbers(line) for line in said[1:] if "in_order" in line]
    whole = all(each["pushed"] == each["in_order"] for each in watched)
    expect.holds(whole and len(watched) == 2 * tried + 2,
                 "KCSAN sees no race while all of the ring's plain accesses are watched",
                 observed=str(watched), expected=f"{2 * tried + 2} rounds, in order",
                 look="ring_pop")  # fmt: skip
    expect.equal(said[-1], "gone", "the module goes", look="dmesg")
