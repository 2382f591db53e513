# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel `lab` brings for kernels in trouble, each shown to work, and not to speak unasked.

Messages over the network, records that outlive a reboot, switches for messages, traces of a crash,
magic sysrq, what turns a mistake into a panic, and those that notice a standstill.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from klab import accel
from klab.errors import KlabError
from klab.guest import modules, runner
from klab.kernel import artefact
from klab.machine import console

DEADLINE_S = 240.0
LOUD = "dmesg -n 8; "
# As a user of the network card that QEMU gives; nobody must answer for a broadcast.
NETWORK = "ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; "
NETCONSOLE = "modprobe netconsole netconsole=@10.0.2.15/eth0,@10.0.2.2/ff:ff:ff:ff:ff:ff; "


@dataclass(frozen=True)
class End:
    """How a guest ended: its exit status, or why it was lost; what it said, and what it sent."""

    status: int | None
    said: str
    console: str
    sent: tuple[bytes, ...] = ()


def run(
    tmp_path: Path,
    script: str,
    *,
    needs: tuple[str, ...] = (),
    cpus: int = 1,
    devices: tuple[str, ...] = (),
    erst: Path | None = None,
    cmdline: str = "",
) -> End:
    """Run a script in a guest of kernel lab, which may die of it."""
    kernel = artefact.get("lab")
    keep = tmp_path / "console"
    try:
        ran = runner.run(
            kernel.file("bzImage"), [LOUD + script], which=accel.probe().accel, cpus=cpus, devices=devices,
            files=modules.files(kernel, needs) if needs else {}, erst=erst, deadline_s=DEADLINE_S,
            cmdline=cmdline, keep=keep,
        )  # fmt: skip
    except KlabError as error:
        return End(None, error.what, "\n".join(console.lines(keep)))
    return End(ran.status, ran.output.decode(errors="replace"), "\n".join(ran.console), ran.sent)


@pytest.mark.parametrize("on", [True, False])
def test_netconsole(tmp_path: Path, on: bool) -> None:
    script = NETWORK + (NETCONSOLE if on else "") + "echo klab-mark >/dev/kmsg; sleep 1"
    ended = run(tmp_path, script, needs=("netconsole",), devices=("net",))
    assert ended.status == 0, ended
    assert (b"klab-mark" in b"".join(ended.sent)) == on


def test_a_record_outlives_the_reboot(tmp_path: Path) -> None:
    store = tmp_path / "erst"
    died = run(
        tmp_path, "echo klab-mark >/dev/kmsg; echo c >/proc/sysrq-trigger", devices=("erst",), erst=store
    )
    assert died.status is None, died
    look = "mount -t pstore pstore /sys/fs/pstore; cat /sys/fs/pstore/dmesg-erst-*; rm /sys/fs/pstore/*"
    found = run(tmp_path, look, devices=("erst",), erst=store)
    assert "klab-mark" in found.said
    assert "sysrq triggered crash" in found.said
    assert "klab-mark" not in run(tmp_path, look, devices=("erst",), erst=store).said, "it was not removed"


def test_dynamic_debug(tmp_path: Path) -> None:
    query = "echo 'file lib/kobject.c +p' >/sys/kernel/debug/dynamic_debug/control"
    ended = run(
        tmp_path,
        "mount -t debugfs debug /sys/kernel/debug; modprobe dummy; dmesg | grep -c \"kobject: 'dummy'\";"
        f" rmmod dummy; {query}; modprobe dummy; dmesg | grep -c \"kobject: 'dummy'\"",
        needs=("dummy",),
    )
    silent, loud = map(int, ended.said.split())
    assert silent == 0
    assert loud > 0


@pytest.mark.parametrize("on", ["1", "0"])
def test_ftrace_at_an_oops(tmp_path: Path, on: str) -> None:
    script = (
        "t=/sys/kernel/tracing; mount -t tracefs trace $t; echo do_sys_openat2 >$t/set_ftrace_filter;"
        f" echo function >$t/current_tracer; echo {on} >/proc/sys/kernel/ftrace_dump_on_oops;"
        " cat /proc/uptime >/dev/null; echo c >/proc/sysrq-trigger"
    )
    ended = run(tmp_path, script)
    assert ended.status is None, ended
    assert ("Dumping ftrace buffer" in ended.console and "do_sys_openat2" in ended.console) == (on == "1")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("h", "sysrq: HELP"),
        ("w", "sysrq: Show Blocked State"),
        ("t", "sysrq: Show State"),
        ("m", "Mem-Info:"),
    ],
)
def test_magic_sysrq(tmp_path: Path, key: str, says: str) -> None:
    ended = run(tmp_path, f"echo {key} >/proc/sysrq-trigger; sleep 1")
    assert (ended.status, says in ended.console) == (0, True), ended


@pytest.mark.parametrize(
    ("setting", "crash"),
    [("panic_on_oops", "EXCEPTION"), ("panic_on_warn", "WARNING"), ("panic_on_oops", "BUG")],
)
@pytest.mark.parametrize("on", [1, 0])
def test_a_mistake_is_a_panic_when_asked(tmp_path: Path, setting: str, crash: str, on: int) -> None:
    script = (
        f"modprobe lkdtm; mount -t debugfs debug /sys/kernel/debug; echo {on} >/proc/sys/kernel/{setting};"
        f" echo {crash} >/sys/kernel/debug/provoke-crash/DIRECT"
    )
    ended = run(tmp_path, f"sh -c '{script}'; echo ends", needs=("lkdtm",))
    assert (ended.status is None) == bool(on), ended
    assert ("Kernel panic" in ended.console) == bool(on)


LOCKUPS = {
    "hung task": (
        "echo 2 >/proc/sys/kernel/hung_task_timeout_secs; {} state=D time_secs=8",
        r"task modprobe:\d+ blocked for more than 2 seconds",
    ),
    "soft lockup": (
        "echo 2 >/proc/sys/kernel/watchdog_thresh; {} disable_preempt=1 time_secs=9",
        r"BUG: soft lockup - CPU#\d stuck for \d+s! \[modprobe:",
    ),
    "hard lockup": (
        "echo 2 >/proc/sys/kernel/watchdog_thresh; {} disable_irq=1 time_secs=16",
        "Watchdog detected hard LOCKUP",
    ),
    "none": ("{} time_secs=3 disable_preempt=1", ""),
}


@pytest.mark.parametrize("name", LOCKUPS)
def test_a_standstill_is_noticed(tmp_path: Path, name: str) -> None:
    line, says = LOCKUPS[name]
    script = line.format("modprobe test_lockup")
    ended = run(tmp_path, f"{script}; true", needs=("test_lockup",), cpus=2)
    assert ended.status == 0, ended
    found = {each for each, (_, word) in LOCKUPS.items() if word and re.search(word, ended.console)}
    # A processor without interrupts is without a scheduler, too: both may be said of it.
    assert found - ({"soft lockup"} if name == "hard lockup" else set()) == ({name} if says else set()), (
        ended.console
    )


def test_a_watchdog_that_is_not_fed_resets(tmp_path: Path) -> None:
    fed = "(while :; do echo >&7; sleep 1; done) & sleep 8; kill $!; echo V >&7"
    script = "modprobe i6300esb heartbeat=4; exec 7>/dev/watchdog; {}"
    lives = run(tmp_path, script.format(fed), needs=("i6300esb",), devices=("wdt",))
    assert lives.status == 0, lives
    dies = run(tmp_path, script.format("sleep 60; echo lives"), needs=("i6300esb",), devices=("wdt",))
    assert "it ended without a status" in dies.said
