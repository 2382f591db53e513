# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel armed by the student's script crashes, and the student's program reads its dump."""

import json
import re

import pytest

from klab.debuggee import kdump
from klab.errors import KlabError
from klab.testing import debuggees, expect, guests

FUNCTIONS = ("close_by_null", "close_by_bug", "close_by_panic")
CLERKS, ORDERS = 8, 12
DELAY_MS = 4000  # until the crash; before it the clerks are counted
# Number and pid of each clerk.
COUNT = (
    "for d in /proc/[0-9]*; do read -r n <$d/comm;"
    " case $n in clerk/*) echo ${n#clerk/} ${d#/proc/};; esac; done 2>/dev/null"
)
LOADED = "cat /sys/kernel/kexec_crash_loaded"


def office(seed):
    """(holder, crasher, waiters, order, function), as office.c makes them; clerks by number."""
    clerks = [(seed % CLERKS + n * 3) % CLERKS for n in range(CLERKS)]
    waiting = clerks[2 : 4 + (seed >> 8) % 3]
    order = seed % 1000 + (seed >> 4) % ORDERS * 7
    return clerks[0], clerks[1], waiting, order, FUNCTIONS[(seed >> 16) % 3]


@pytest.fixture(scope="module")
def dump(lab, debuggee):
    """(the dump, what is true of it, the module's folder)."""
    built = lab.restored().make()
    at = debuggee(kdump=True)
    _, said = at.run(f"kexec -p -u; {LOADED}")
    if said.split()[-1:] != ["0"]:
        expect.cannot_tell(f"the debuggee cannot be disarmed: {said}")
    files = {**kdump.files(at.debuggee), "klab/office.ko": built.file("office.ko"),
             "klab/capture/arm.sh": (lab.workspace / "arm.sh").read_text()}  # fmt: skip
    _, said = at.run(f"sh /klab/capture/arm.sh; echo; {LOADED}", files=files)
    expect.holds(said.split()[-1:] == ["1"], "arm.sh loads a kernel for a crash", observed=said,
                 expected="kexec_crash_loaded is 1", look="arm.sh; man kexec")  # fmt: skip
    seed = lab.random.randrange(1 << 18, 1 << 32)
    holder, crasher, waiting, order, function = office(seed)
    _, said = at.run(f"insmod /klab/office.ko seed={seed} delay={DELAY_MS}; {COUNT}")
    pids = {int(number): int(pid) for number, pid in re.findall(r"^(\d+) (\d+)$", said, re.MULTILINE)}
    if len(pids) != CLERKS:
        expect.cannot_tell(f"the clerks could not be counted: {said}")
    try:
        found = at.crashed("sleep 60")
    except KlabError as error:
        expect.fail("the crash leaves a dump", observed=f"{error.what}\n{tail(at.console())}",
                    expected="a dump", look="arm.sh: the capture kernel's command line")  # fmt: skip
    truth = {"owner": pids[holder], "waiters": sorted(pids[n] for n in waiting), "order": order,
             "crashed": pids[crasher], "by": function}  # fmt: skip
    guests.gate(lab.spec, at.console(), look="the console of the debuggee")
    return found, truth, built.folder


def tail(lines):
    return "\n".join(lines[-8:])


@pytest.fixture(scope="module")
def answer(lab, dump):
    found, _, folder = dump
    (folder / "who.py").write_bytes((lab.workspace / "who.py").read_bytes())
    said = debuggees.drgn(found, folder, ["-s", "office.ko", "who.py"])
    try:
        told = json.loads(said.out.strip().splitlines()[-1])
    except (IndexError, ValueError):
        told = None
    expect.holds(isinstance(told, dict), "who.py prints one line of JSON",
                 observed=f"{said.out}{said.err}"[-1500:], expected="an object", look="who.py")  # fmt: skip
    return told


def test_filtered(dump):
    found, _, _ = dump
    expect.holds(found.how == "panic" and 0 < found.size < 256 << 20, "the dump is one without free memory",
                 observed=f"{found.how}, {found.size >> 20} MiB", expected="less than half of the memory",
                 look="makedumpfile(8)")  # fmt: skip


@pytest.mark.parametrize("name", ["owner", "waiters", "order", "crashed", "by"])
def test_who(dump, answer, name):
    _, truth, _ = dump
    expect.equal(
        answer.get(name), truth[name], f"who.py finds {name}", look="klab dump drgn -- -s office.ko who.py"
    )
