# SPDX-License-Identifier: GPL-3.0-or-later
"""One long reader, then readers and writers at once, then the sums, then an unload; on san."""

import re

import pytest

from klab.testing import expect

DEADLINE_S = 300
HOLD_MS = 2000

SCRIPT = """
cd /klab
insmod cfgtable.ko || exit 1
insmod hammer.ko seed={seed} keys={keys} reads={reads} || exit 1
cat /sys/module/hammer/parameters/result
rmmod hammer
# No grace period ends while the table goes: what was not waited for is still to come.
insmod holder.ko ms={hold}
rmmod cfgtable && echo gone
rmmod holder
ls -d /sys/kernel/slab/cfgtable_record 2>/dev/null
true
"""


@pytest.fixture(scope="module")
def modules(lab):
    """The student's table with the grader's hammer, as files for a guest."""
    built = lab.restored().make()
    return {f"klab/{name}": built.file(name) for name in ("cfgtable.ko", "hammer.ko", "holder.ko")}


@pytest.fixture(scope="module")
def reads(lab):
    return lab.random.randrange(1500, 2500)


@pytest.fixture(scope="module")
def answers(lab, guest, modules, reads):
    """What the hammer saw, by name, and the lines after it."""
    numbers = {"seed": lab.random.randrange(1, 1 << 31), "keys": lab.random.randrange(10, 40), "reads": reads}
    ran = guest(SCRIPT.format(hold=HOLD_MS, **numbers), files=modules, deadline_s=DEADLINE_S)
    output = ran.output.decode(errors="replace")
    seen = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", output)}
    expect.holds("retired" in seen, "both modules load, and the hammer comes to its end",
                 observed=output, expected="a line of results", look="dmesg; hammer.c")  # fmt: skip
    return {**seen, "rest": output.splitlines()[1:]}


def test_a_long_reader(answers):
    expect.equal(answers["waited"], 0, "a writer comes back while a reader is inside the record",
                 look="what readers and writers both lock; synchronize_rcu in table_set")  # fmt: skip
    expect.equal(answers["intact"], 1, "the record that a reader holds stays as it is",
                 look="table_set: a record that is in the table is never written")  # fmt: skip
    expect.equal(answers["new"], 1, "who reads afterwards sees the new record", look="hlist_replace_rcu")


def test_readers_and_writers_at_once(answers):
    expect.equal(answers["torn"], 0, "each record is seen as a whole, with the right key", look="table_set")
    expect.equal(answers["wrong"], 0, "set and del answer as they should", look="the writers' lock")


@pytest.mark.parametrize("cpu", [0, 1])
def test_reads_are_counted_per_cpu(answers, reads, cpu):
    expect.equal(answers[f"reads{cpu}"], reads, f"reads that were counted on CPU {cpu}",
                 look="this_cpu_inc in table_read; table_reads")  # fmt: skip


def test_nothing_is_lost(answers):
    expect.equal(answers["live"], answers["should"], "records in the table", look="table_set and table_del")
    expect.equal(answers["freed"], answers["retired"], "records that were replaced or deleted are freed once",
                 look="call_rcu: its function frees and counts")  # fmt: skip


def test_unload(answers):
    expect.equal(answers["rest"], ["gone"], "the table goes, with the records in it and their cache",
                 look="cfgtable_exit")  # fmt: skip
