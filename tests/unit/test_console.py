# SPDX-License-Identifier: GPL-3.0-or-later
"""What a console tells: machines that will never answer, and kernel complaints."""

import pytest

from klab.machine import console

HOPELESS = {
    "kernel panic": "[    3.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
    "no root file system": "[    1.402] VFS: Unable to mount root fs on unknown-block(0,0)",
    "no init": "[    2.0] Kernel panic - not syncing: No working init found.  Try passing init= option",
    "init is frozen": "[   10.1] systemd[1]: Freezing execution.",
    "emergency shell": 'You are in emergency mode. After logging in, type "journalctl -xb"',
    "initramfs shell": "(initramfs) ",
}
SPLATS = {
    "warn": "WARNING: CPU: 1 PID: 4242 at kernel/sched/core.c:100 foo+0x1/0x2",
    "bug": "kernel BUG at mm/slub.c:552!",
    "oops": "BUG: kernel NULL pointer dereference, address: 0000000000000000",
    "kasan": "BUG: KASAN: slab-use-after-free in kasan_uaf+0x1/0x2 [test]",
    "kcsan": "BUG: KCSAN: data-race in a / b",
    "kmsan": "BUG: KMSAN: uninit-value in foo+0x1/0x2",
    "kfence": "BUG: KFENCE: out-of-bounds read in foo+0x1/0x2",
    "ubsan": "UBSAN: array-index-out-of-bounds in drivers/foo.c:10:2",
    "kmemleak": "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "lockdep": "WARNING: possible circular locking dependency detected",
    "rcu stall": "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "soft lockup": "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:77]",
    "hard lockup": "watchdog: Watchdog detected hard LOCKUP on cpu 1",
    "workqueue lockup": "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
    "hung task": "INFO: task dd:612 blocked for more than 120 seconds.",
    "sleeping in atomic context": "BUG: sleeping function called from invalid context at mm/a.c:1",
    "refcount": "refcount_t: underflow; use-after-free.",
    "list corruption": "list_del corruption. prev->next should be 1, but was 2",
    "unclaimed interrupt": 'irq 20: nobody cared (try booting with the "irqpoll" option)',
    "panic": "Kernel panic - not syncing: sysrq triggered crash",
}
HARMLESS = [
    "[    0.100000] Spectre V2 : WARNING is a word, not at the start",
    "[    0.100000] systemd[1]: Started debug-BUG.service",
    "WARNING: CPU: 1 PID: 1 printed by a program, without the kernel's stamp",
    "[    1.000000] rcu: Hierarchical RCU implementation.",
    "[    1.000000] Freeing unused kernel image (initmem) memory: 2048K",
]


@pytest.mark.parametrize(("name", "line"), HOPELESS.items(), ids=HOPELESS)
def test_hopeless(name, line):
    found = console.hopeless(["[    0.0] Linux version 6.12", line])
    assert found
    assert found.name == name
    assert found.mend


def test_a_living_boot_has_hope():
    assert console.hopeless(["[    0.000000] Linux version 6.12", "Debian GNU/Linux 13 lab1 ttyS0"]) is None


@pytest.mark.parametrize(("name", "said"), SPLATS.items(), ids=SPLATS)
@pytest.mark.parametrize(
    "stamp", ["[   12.345678] ", "[    3.000001][  T77] ", "lab1 login: [   12.345678] "]
)
def test_splat(name, said, stamp):
    found = console.splats([f"{stamp}{said}"])
    assert [f.name for f in found] == [name]
    assert found[0].number == 1


@pytest.mark.parametrize("line", HARMLESS)
def test_harmless(line):
    assert not console.splats([line])


def test_every_pattern_is_exercised():
    assert {p.name for p in console.patterns("splats")} == set(SPLATS)
    assert {p.name for p in console.patterns("console")} == set(HOPELESS)


def test_only_what_the_present_guest_lived_through(tmp_path):
    """Of earlier boots, and of the time that a reset undid, nothing is said."""
    path = tmp_path / "console.log"

    def says(number: int) -> None:
        with path.open("a") as stream:
            stream.write(f"[   10.000000] WARNING: CPU: 0 PID: {number} at x\n")

    for turn in (console.BOOT, console.BOOT, console.READY, console.RESET, console.RESUME):
        console.mark(path, turn)
        says(len(path.read_text().splitlines()))
    text = console.lines(path)
    heard = [text[n - 1] for n, _ in console.current(text) if "WARNING" in text[n - 1]]
    everything = [f.line for f in console.splats(text, everything=True)]
    assert len(everything) == 5
    kept = [line.split("PID: ")[1].split()[0] for line in heard]
    all_numbers = [line.split("PID: ")[1].split()[0] for line in everything]
    assert kept == [all_numbers[1], all_numbers[3], all_numbers[4]]


def test_a_reset_undoes_whole_boots(tmp_path):
    """A kernel that was tried since, and its panic, are no reason to give up after a reset."""
    path = tmp_path / "console.log"
    panic = "[    1.000000] Kernel panic - not syncing: VFS"
    for turn in (console.BOOT, console.READY, console.BOOT):
        console.mark(path, turn)
    with path.open("a") as stream:
        stream.write(f"{panic}\n")
    assert console.hopeless(console.lines(path)).name == "kernel panic"
    console.mark(path, console.RESET)
    assert console.hopeless(console.lines(path)) is None
    console.mark(path, console.BOOT)
    with path.open("a") as stream:
        stream.write(f"{panic}\n")
    assert console.hopeless(console.lines(path)).name == "kernel panic"


def test_one_that_became_the_daemon_s_own_is_klab_s_again(tmp_path, monkeypatch):
    path = tmp_path / "console.log"
    path.write_text("said\n")
    theirs = path.stat().st_ino
    monkeypatch.setattr(console.os, "access", lambda where, mode: False)
    console.mark(path, console.BOOT)
    assert path.stat().st_ino != theirs
    assert console.lines(path)[0] == "said"


def test_escapes_are_stripped(tmp_path):
    path = tmp_path / "console.log"
    path.write_bytes(b"\x1b[0;32m  OK  \x1b[0m Reached\r\n\x1b[?7hbye\xff\n")
    assert console.lines(path) == ["  OK   Reached", "bye\ufffd"]
