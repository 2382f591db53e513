# SPDX-License-Identifier: GPL-3.0-or-later
"""One at a time, all at once; then readers that are killed. The device counts what went wrong."""

import re
from collections import Counter

import pytest

from klab.testing import expect

DEADLINE_S = 100
GIVEN = 100  # items of each of two programs, numbered on from these
FIRST, SECOND = 1_000_000, 2_000_000
LONG_MS = 5000  # a conversion, while readers are killed

# What a script waits for has a limit in seconds, so that readers that hang hold up nothing.
HEAD = """
cd /klab; p=/sys/module/hardware/parameters
await() {{
  read -r began _ </proc/uptime
  until $1; do
    read -r now _ </proc/uptime
    [ ${{now%.*}} -lt $((${{began%.*}} + $2)) ] || {{ echo stuck; return 1; }}
    usleep 250000
  done
}}
dmesg -c >/dev/null
insmod hardware.ko channels={channels} && insmod feed.ko || exit 1
"""
STORM = """
# One after the other. Some mistakes show here already, and would hang what comes.
echo 1 >$p/send
dd if=/dev/feed bs=16 count=1 2>/dev/null
echo {first} >/dev/feed
dd if=/dev/feed bs=16 count=1 2>/dev/null
echo calm >/proc/feed_label; cat /proc/feed_label
! dmesg | grep -q -e "WARNING: " -e "BUG: " || exit 1

echo "<<storm"
: >/tmp/ended
all() {{ [ $(wc -l </tmp/ended) = {clients} ]; }}
take() {{ dd if=/dev/feed of=/klab/out/$1 bs=16 count={share} 2>/dev/null; echo >>/tmp/ended; }}
give() {{
  n=$1
  while [ $n -lt $(($1 + {given})) ]; do echo $n >/dev/feed && n=$((n+1)) || usleep 2000; done 2>/dev/null
  echo >>/tmp/ended
}}
burn() {{ for n in 1 2 3 4 5 6 7 8 9; do echo $1$n >/proc/feed_label; done; echo >>/tmp/ended; }}
echo {sent} >$p/send
for n in {readers}; do take $n & done
give $(({first} + 1)) & give {second} & burn one & burn two &
await all 40 || exit 1
for f in peak broken clashes; do echo $f=$(cat $p/$f); done
"""
KILLED = """
alive() {{ for i in $pids; do grep -qs "^State:.[^ZX]" /proc/$i/status && echo $i; done; }}
at_most() {{ [ $(alive | wc -l) -le $most ]; }}
dd if=/dev/feed bs=16 count=1 2>/dev/null & pids=$!
dd if=/dev/feed bs=16 count=1 2>/dev/null & pids="$pids $!"
usleep 300000
kill -9 $pids; most=0; await at_most 5 && echo left without an item
# All channels are taken for long, and one reader more waits.
echo {long} >$p/convert_ms
pids=
while [ $(echo $pids | wc -w) -le {channels} ]; do
  dd if=/dev/feed bs=16 count=1 of=/dev/null 2>/dev/null & pids="$pids $!"
done
echo $(({channels} + 1)) >$p/send
taken() {{ [ $(cat $p/busy) = {channels} ]; }}
await taken 5
usleep 300000
kill -9 $pids; most={channels}; await at_most 2 && echo left without a channel
# What they had not taken is there for the next.
echo 1 >$p/convert_ms
dd if=/dev/feed bs=16 count=1 of=/tmp/last 2>/dev/null & pids=$!
most=0; await at_most 15 && cat /tmp/last
rmmod feed && rmmod hardware && echo gone
"""


@pytest.fixture(scope="module")
def channels(lab):
    return lab.random.choice([2, 3])


@pytest.fixture(scope="module")
def ran(lab, guest, channels):
    """Runs a part of the script in a guest of its own, with the student's module."""

    built = lab.restored().make()

    def run(part, **words):
        files = {f"klab/{name}": built.file(name) for name in ("feed.ko", "hardware.ko")}
        return guest((HEAD + part).format(channels=channels, **words), files=files, deadline_s=DEADLINE_S)

    return run


@pytest.fixture(scope="module")
def run(lab, ran, channels):
    """What was printed, by part of the script; each reader's items; how many the device sent."""
    readers = [f"reader{n}" for n in range(channels + 2)]
    share = lab.random.randrange(70, 90)
    sent = share * len(readers) - 2 * GIVEN
    ended = ran(
        STORM, first=FIRST, second=SECOND, given=GIVEN, sent=sent, share=share,
        readers=" ".join(readers), clients=len(readers) + 4,
    )  # fmt: skip
    calm, _, storm = ended.output.decode(errors="replace").partition("<<storm\n")
    items = {name: [int(line) for line in ended.results.get(name, b"").split()] for name in readers}
    return {"calm": calm.split(), "storm": storm, "items": items, "sent": sent}


@pytest.fixture(scope="module")
def killed(ran):
    return ran(KILLED, long=LONG_MS).output.decode(errors="replace").splitlines()


def test_one_at_a_time(run):
    expect.equal(run["calm"], ["0", str(FIRST), "calm"], "items of device and program, and the label",
                 look="feed_read, feed_write, label_write")  # fmt: skip


def some(items):
    return f"{items.total()}, the first {sorted(items)[:5]}"


def test_each_item_once(run):
    should = Counter([*range(1, run["sent"] + 1), *range(FIRST + 1, FIRST + 1 + GIVEN),
                      *range(SECOND, SECOND + GIVEN)])  # fmt: skip
    got = Counter(item for items in run["items"].values() for item in items)
    lost, twice = should - got, got - should
    expect.holds(not lost and not twice, f"each of {should.total()} items comes out once",
                 observed=f"lost: {some(lost)}; too many: {some(twice)}", expected="none of both",
                 look="push() and pop(): between reading head, or tail, and writing it")  # fmt: skip
    expect.holds("stuck" not in run["storm"], "all programs come to their end", observed="some hang",
                 expected="none", look="complete() and its waiters: one for each item")  # fmt: skip


def test_in_order(run):
    # Each producer's items stay in their order; a reader sees some of them.
    both = [(items, kind) for items in run["items"].values() for kind in range(3)]
    kinds = [[item for item in items if item // FIRST == kind] for items, kind in both]
    wrong = [items for items in kinds if items != sorted(items)]
    expect.equal(wrong, [], "to each reader, the items of one producer come in order", look="pop(); the ring")


def test_the_device_is_used_as_it_should_be(run, channels):
    seen = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", run["storm"])}
    expect.equal(seen.get("broken"), 0, "conversions for which there was no channel", look="feed_read")
    expect.equal(seen.get("peak"), channels, "conversions at a time when there is much to do",
                 look="what lets only some in; which lock is held during hardware_convert()")  # fmt: skip
    expect.equal(seen.get("clashes"), 0, "labels that were burnt at the same time", look="label_write")


@pytest.mark.parametrize("what", ["an item", "a channel"])
def test_whoever_waits_can_be_killed(killed, what):
    expect.holds(f"left without {what}" in killed, f"a reader that waits for {what} can be killed",
                 observed="it stays", expected="it is gone within seconds",
                 look="feed_read; what `D` in ps means")  # fmt: skip


def test_nothing_is_lost_by_it(killed, channels):
    # The killed ones had taken the oldest, from 0 on, on the channels; the last waited for one.
    *_, last, gone = ["", "", *killed]
    expect.equal(last, str(channels), "the next reader gets what a killed one did not",
                 look="what a reader has taken when it is killed between two waits")  # fmt: skip
    expect.equal(gone, "gone", "the module goes", look="feed_exit; who still has /dev/feed open")
