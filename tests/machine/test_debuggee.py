# SPDX-License-Identifier: GPL-3.0-or-later
"""A student's debuggee, as it is used on the machine: its gdb is the machine's own."""

from collections.abc import Iterator

import pexpect
import pytest

from klab.testing import expect
from klab.testing.machines import Machine

SLOW_S = 400  # gdb of an emulated machine reads the kernel's symbols
LOOK = "src/klab/desk/debuggees.py; roles/lab_machine/files/klab"


@pytest.fixture(scope="module")
def debuggee(machine: Machine) -> Iterator[Machine]:
    """The machine, with its debuggee up."""
    answers(machine, "up --beside lab")
    yield machine
    answers(machine, "down")


def answers(machine: Machine, words: str, code: int = 0) -> str:
    """What `klab debuggee WORDS` says on the machine, its errors too."""
    done = machine.run(f"klab debuggee {words} 2>&1", deadline_s=SLOW_S)
    expect.equal(done.code, code, f"klab debuggee {words}: {done.out}", look=LOOK)
    return done.out


def test_its_exit_status_is_exact(debuggee: Machine) -> None:
    said = answers(debuggee, "run -- sh -c 'uname -r; exit 42'", code=42)
    assert "-klab-lab" in said
    assert "It runs, on kernel lab." in answers(debuggee, "status")


@pytest.mark.parametrize(("way", "top"), [("--kgdb", "sysrq"), ("--stub", "idle")])
def test_gdb_stops_it_and_lets_it_go(debuggee: Machine, way: str, top: str) -> None:
    version = answers(debuggee, "run -- cat /proc/version").strip()
    said = answers(debuggee, f"gdb {way} -- -batch -ex bt -ex lx-version -ex detach")
    expect.holds(
        top in said and version in said,
        f"gdb {way} shows where the debuggee's kernel is, and what it says of itself",
        observed=said,
        expected=f"a backtrace with {top}, and {version}",
        look=LOOK,
    )
    assert "It runs" in answers(debuggee, "status")


def test_another_vmlinux_is_refused(debuggee: Machine) -> None:
    release = debuggee.run("uname -r").out.strip()
    vmlinux = f"/usr/lib/debug/lib/modules/{release}/vmlinux"
    debuggee.run(f"sudo mount --bind /bin/ls {vmlinux}")
    try:
        said = answers(debuggee, "gdb -- -batch -ex bt", code=1)
    finally:
        debuggee.run(f"sudo umount {vmlinux}")
    assert f"not on this machine: {vmlinux}" in said
    assert "klab debuggee up with this machine's own flavour" in said
    assert "It runs" in answers(debuggee, "status")


def test_kdb_at_a_terminal(debuggee: Machine) -> None:
    ssh = [
        "-tt",
        "-F",
        str(debuggee.record.ssh_config),
        debuggee.name,
        "klab debuggee kdb; echo ended with $?",
    ]
    typed = pexpect.spawn("ssh", ssh, timeout=180, encoding="utf-8")
    typed.expect("kdb> ")
    assert "does not answer" in answers(debuggee, "status", code=1)
    typed.send("version\r")
    typed.expect("kdb> ")
    typed.send("go\r\x1d")
    typed.expect_exact("ended with 0")
    assert "It runs" in answers(debuggee, "status")


def test_reset_mends_what_stands_still(debuggee: Machine) -> None:
    answers(debuggee, "run -- touch /klab/mark")
    answers(debuggee, "run -- sh -c '(usleep 100000; echo g >/proc/sysrq-trigger) >/dev/null 2>&1 &'")
    assert "does not answer" in answers(debuggee, "status", code=1)
    answers(debuggee, "reset")
    answers(debuggee, "run -- test -e /klab/mark", code=1)


def test_without_symbols_there_is_no_gdb(debuggee: Machine) -> None:
    assert "is up on kernel lab" in answers(debuggee, "up --beside stock", code=1)
    answers(debuggee, "down")
    assert "is down" in answers(debuggee, "gdb", code=1)
    answers(debuggee, "up --beside stock")
    assert "has no symbols" in answers(debuggee, "gdb", code=1)
    answers(debuggee, "down")
    answers(debuggee, "up --beside lab")


def test_a_crash_is_opened_on_the_machine(debuggee: Machine) -> None:
    answers(debuggee, "down")
    answers(debuggee, "up --beside --kdump lab")
    said = answers(debuggee, "run -- sh -c 'echo klab-mark >/dev/kmsg; echo c >/proc/sysrq-trigger'", code=1)
    assert "klab dump list shows its dump" in said
    assert "It runs" in answers(debuggee, "status"), "it is not up again"
    opened = debuggee.run(
        "printf 'bt\\nlog\\nquit\\n' >words; klab dump crash -s -i words 2>&1", deadline_s=SLOW_S
    ).out
    expect.holds(
        "sysrq_handle_crash" in opened and "klab-mark" in opened,
        "crash opens the dump on the machine's own vmlinux",
        observed=opened[-2000:],
        expected="a backtrace with sysrq_handle_crash, and the log",
        look=LOOK,
    )
    (newest,) = debuggee.run("klab dump list | tail -1 | cut -d' ' -f1").out.split()
    assert debuggee.run(f"test -s dumps/{newest}/vmcore").code == 0
    debuggee.run("echo 'print(prog.crashed_thread().name)' >who.py")
    assert "sh" in debuggee.run("klab dump drgn who.py 2>&1", deadline_s=SLOW_S).out
    answers(debuggee, "down")
    answers(debuggee, "up --beside lab")
