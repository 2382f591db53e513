# SPDX-License-Identifier: GPL-3.0-or-later
"""The session run on two sluices that are stuck for different causes, over KGDB and over QEMU's stub."""

import re

import pytest

from klab.debuggee.halt import KGDB, STUB
from klab.guest import modules
from klab.testing import expect, guests

COUNTERS = ("count_by_day", "count_by_night", "count_by_tide")
DEBT, SHUT = "debt", "shut"
# Of the kernel's own: some are loaded before, so that the sluice lies elsewhere each time.
OTHERS = ("dummy", "ifb", "loop", "macvlan", "tun", "veth")
ROUND_S = 20


def sluice(rnd, cause):
    """(seed, what is true of a sluice made with it), as sluice.c makes them."""
    while True:
        seed = rnd.randrange(1 << 16, 1 << 32)
        count = 4 + seed % 4
        number = (seed >> 4) % count
        if (SHUT if (seed >> 8) & 1 else DEBT) == cause and number not in {0, count - 1}:
            break
    key = (seed * 2654435761 + number * 40503) % (1 << 32)
    return seed, {"GATE": str(number), "KEY": str(key), "CAUSE": cause, "BY": COUNTERS[(seed >> 12) % 3]}


class Case:
    """One session: what the script printed, what is true, and what became of the sluice."""

    def __init__(self, lab, debuggee, way, cause, others):
        built = lab.restored().make()
        kernel = lab.kernel()
        self.seed, self.truth = sluice(lab.random, cause)
        at = debuggee()
        files = {"klab/sluice.ko": built.file("sluice.ko")}
        files |= {name: content for name, (_, content) in modules.files(kernel, others).items()}
        status, said = at.run(
            f"for m in {' '.join(others)}; do modprobe $m; done; insmod /klab/sluice.ko seed={self.seed};"
            f" pidof keeper/{self.truth['GATE']} || ps | grep '[k]eeper/{self.truth['GATE']}'", files=files,
        )  # fmt: skip
        pid = re.search(r"\d+", said)
        if status or not pid:
            expect.cannot_tell(f"the sluice could not be made: {said}")
        self.truth["KEEPER"] = pid[0]
        status, said = at.run("timeout 1 cat /proc/sluice")
        if status == 0:
            expect.cannot_tell("the sluice is not stuck to begin with")
        (built.folder / "session.gdb").write_bytes((lab.workspace / "session.gdb").read_bytes())
        heard = at.gdb(built.folder, ["-x", "session.gdb"], way=way)
        self.said = f"{heard.out}\n{heard.err}"
        self.alive = at.answers()
        self.moves = self.alive and at.run(f"timeout {ROUND_S} cat /proc/sluice")[0] == 0
        self.counted = at.run("cat /proc/sluice; cat /proc/sluice")[1].split() if self.moves else []
        guests.gate(lab.spec, at.console(), look="what your session does to the kernel")

    def value(self, name):
        found = re.findall(rf"^{name}=(.*)$", self.said, re.MULTILINE)
        return found[-1].strip() if found else "(nothing)"


@pytest.fixture(scope="module", params=[(KGDB, DEBT), (STUB, SHUT)], ids=["kgdb", "stub"])
def case(request, lab, debuggee):
    way, cause = request.param
    others = lab.random.sample(OTHERS, 2)
    return Case(lab, debuggee, way, cause, others)


@pytest.mark.parametrize("name", ["GATE", "KEY", "KEEPER", "CAUSE", "BY"])
def test_what_the_session_says(case, name):
    seen = case.value(name)
    expect.holds(seen == case.truth[name], f"the session finds {name}",
                 observed=f"{seen}; gdb's last lines:\n{tail(case.said)}", expected=case.truth[name],
                 look="klab debuggee gdb -- -batch -x session.gdb")  # fmt: skip


def tail(text):
    return "\n".join(text.strip().splitlines()[-6:])


def test_the_kernel_lives(case):
    expect.holds(case.alive, "after the session the kernel runs on", observed="it does not answer",
                 expected="it answers", look="detach, at the end of session.gdb")  # fmt: skip


def test_the_boat_moves(case):
    expect.holds(case.moves, "the sluice is in order again", observed="reading /proc/sluice never ends",
                 expected="a number of rounds", look="what keeps a gate's keeper from giving")  # fmt: skip
    one, other = map(int, case.counted or ("0", "0"))
    expect.holds(0 < one < other < 1000, "rounds are counted one by one", observed=f"{one}, then {other}",
                 expected="small numbers that grow", look="what the session writes")  # fmt: skip
