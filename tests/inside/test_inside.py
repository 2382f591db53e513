# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests and debuggees inside of the lab machine: the same commands, and no other computer takes part."""

from collections.abc import Iterator

import pytest

from klab.testing import expect
from klab.testing.machines import Machine

SLOW_S = 1800  # a machine that is emulated itself boots its first guest for minutes
LOOK = "roles/micro_guest; roles/lab_machine/files/klab; src/klab/desk/inside.py"
# Whoever may answer beside the machine does not: its address leads nowhere.
CUT = "sudo ip route add unreachable 10.0.2.100"
MENDED = "sudo ip route del unreachable 10.0.2.100"


def answers(machine: Machine, words: str, code: int = 0) -> str:
    """What `klab WORDS` says on the machine, its errors too."""
    done = machine.run(f"cd ~/labs/inside && klab {words} 2>&1", deadline_s=SLOW_S)
    expect.equal(done.code, code, f"klab {words}: {done.out}", look=LOOK)
    return done.out


@pytest.fixture(scope="module")
def alone(machine: Machine) -> Iterator[Machine]:
    """The machine without its desk, with a folder in ~/labs, and a debuggee inside that is up."""
    machine.run(f"mkdir -p ~/labs/inside; echo hello >~/labs/inside/word; {CUT}")
    try:
        assert "does not answer" in answers(machine, "list", code=125)
        answers(machine, "debuggee up --inside lab")
        yield machine
        answers(machine, "debuggee down")
    finally:
        machine.run(f"rm -rf ~/labs/inside; rm -f ~/.local/state/klab/inside; {MENDED}")


def test_it_runs_the_machines_own_kernel(alone: Machine) -> None:
    release = alone.run("uname -r").out
    assert answers(alone, "debuggee run -- sh -c 'uname -r; exit 42'", code=42) == release
    assert "It runs, on kernel lab." in answers(alone, "debuggee status")


def test_the_folder_goes_with_a_call(alone: Machine) -> None:
    assert answers(alone, "debuggee run -- cat word") == "hello\n"


@pytest.mark.parametrize(("way", "top"), [("--kgdb", "sysrq"), ("--stub", "#0")])
def test_gdb_stops_it_and_lets_it_go(alone: Machine, way: str, top: str) -> None:
    version = answers(alone, "debuggee run -- cat /proc/version").strip()
    said = answers(alone, f"debuggee gdb {way} -- -batch -ex bt -ex lx-version -ex detach")
    expect.holds(
        top in said and version in said,
        f"gdb {way} shows where the debuggee's kernel is, and what it says of itself",
        observed=said,
        expected=f"a backtrace with {top}, and {version}",
        look=LOOK,
    )
    assert "It runs" in answers(alone, "debuggee status")


def test_reset_mends_what_stands_still(alone: Machine) -> None:
    answers(alone, "debuggee run -- touch /klab/mark")
    answers(alone, "debuggee run -- sh -c '(usleep 100000; echo g >/proc/sysrq-trigger) >/dev/null 2>&1 &'")
    assert "does not answer" in answers(alone, "debuggee status", code=1)
    answers(alone, "debuggee reset")
    answers(alone, "debuggee run -- test -e /klab/mark", code=1)


def test_what_it_cannot_do_it_refuses(alone: Machine) -> None:
    answers(alone, "debuggee down")
    assert "no Debian of its own" in answers(alone, "debuggee up --inside --kdump", code=1)
    assert "no kernel of flavour 'san'" in answers(alone, "debuggee up --inside san", code=1)
    answers(alone, "debuggee up --inside lab")


def test_a_throw_away_guest_brings_back_what_it_changed(alone: Machine) -> None:
    said = answers(alone, "guest --inside lab -- sh -c 'cat word; echo changed >word; exit 7'", code=7)
    assert said == "hello\n"
    assert alone.run("cat ~/labs/inside/word").out == "changed\n"


@pytest.mark.parametrize(("machines", "where"), [("none", "inside"), ("kvm", "inside"), ("qemu", "beside")])
def test_where_they_go_by_themselves(alone: Machine, machines: str, where: str) -> None:
    alone.run("mkdir -p ~/bin")
    alone.run(f"printf '#!/bin/sh\\necho {machines}\\n' >~/bin/systemd-detect-virt; chmod +x ~/bin/*")
    done = alone.run("PATH=~/bin:$PATH klab guest nothing -- true 2>&1; rm -r ~/bin", deadline_s=SLOW_S)
    expected = {"inside": "this machine has no kernel of flavour 'nothing'", "beside": "does not answer"}
    assert expected[where] in done.out
