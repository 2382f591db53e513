# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests as they are: from a kept state and booted, friendly and hostile, on flavour lab."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from klab import accel, store
from klab.errors import KlabError
from klab.guest import initramfs, kept, runner, watch
from klab.kernel import artefact

FLAVOUR = "lab"


def run(script: str, **more: Any) -> runner.Ran:
    kernel = artefact.get(FLAVOUR).file("bzImage")
    return runner.run(kernel, [script], which=accel.probe().accel, **more)


@pytest.mark.parametrize("fresh", [False, True])
def test_files_go_in_and_results_come_out(fresh: bool) -> None:
    files = {"klab/a/deep": (initramfs.DATA, b"7"), "bin/mine": (initramfs.PROGRAM, b"#!/bin/sh\necho hi\n")}
    ran = run("mine; cat /klab/a/deep >/klab/out/seen; exit 42", files=files, fresh=fresh)
    assert (ran.status, ran.output) == (42, b"hi\n")
    assert ran.results == {"seen": b"7"}


def test_much_goes_in() -> None:
    big = os.urandom(20 << 20)
    ran = run("sha256sum </klab/big", files={"klab/big": (initramfs.DATA, big)})
    assert ran.output.decode().split()[0] == hashlib.sha256(big).hexdigest()


def test_the_time_is_ours_again() -> None:
    run("true")  # now there is a state, and time goes by for it
    time.sleep(3)
    assert abs(int(run("date +%s").output) - time.time()) < 10


def test_nothing_stays_of_one_guest_for_the_next() -> None:
    run("echo 1 >/klab/left; echo 1 >/klab/out/left")
    ran = run("ls /klab")
    assert b"left" not in ran.output
    assert ran.results == {}


def test_what_a_guest_writes_is_not_in_the_kept_memory(tmp_path: Path) -> None:
    kernel = artefact.get(FLAVOUR)
    shape = runner.shape(
        kernel.file("bzImage"), which=accel.probe().accel, memory=512, cpus=1, entry=kernel, folder=tmp_path
    )
    state = kept.ensure(shape, kernel)
    run("dd if=/dev/urandom of=/f bs=1M count=40 2>/dev/null")
    assert store.find(kept.KIND, state.digest, thorough=True)


def test_a_panic_is_told() -> None:
    with pytest.raises(KlabError, match="kernel panic"):
        run("echo c >/proc/sysrq-trigger")


def test_a_hang_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(KlabError, match="3 s passed"):
        run("while :; do :; done", deadline_s=3)
    assert time.monotonic() - began < 30


def test_who_has_heard_enough_does_not_wait_for_the_end() -> None:
    began = time.monotonic()
    heard = "echo 'W: it is enough' >/dev/console; while :; do :; done"
    with pytest.raises(KlabError, match="its kernel complained"):
        run(heard, deadline_s=300, enough=lambda lines: any("it is enough" in line for line in lines))
    assert time.monotonic() - began < 60


def test_a_flooded_log_is_ended(tmp_path: Path) -> None:
    with pytest.raises(KlabError, match=r"it wrote more than 2 MiB \(console\)"):
        run("yes 'a line for the kernel log' >/dev/ttyS0", keep=tmp_path / "console", deadline_s=300)
    assert (tmp_path / "console").stat().st_size <= watch.CONSOLE


@pytest.mark.parametrize(
    ("script", "name"),
    [("yes", "output"), ("head -c 9000000 /dev/zero >/klab/out/much", "results")],
)
def test_too_much_is_refused(script: str, name: str) -> None:
    with pytest.raises(KlabError, match=rf"it wrote more than \d+ MiB \({name}\)"):
        run(script)


def test_a_reboot_is_no_success() -> None:
    with pytest.raises(KlabError, match="without a status"):
        run("reboot -f; sleep 60")


def test_qemu_goes_when_klab_is_killed(tmp_path: Path) -> None:
    mark = f"klab.mark={os.getpid()}"
    digest = artefact.get(FLAVOUR).digest
    words = ["guest", "run", "--kernel", digest, "--fresh", "--cmdline", mark, "--", "sleep 100"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    klab = subprocess.Popen([sys.executable, "-m", "klab", *words], env=env, stderr=subprocess.DEVNULL)

    def running() -> bool:
        seen = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
        return any(line.startswith(b"qemu") and mark.encode() in line for line in seen)

    try:
        _until(running)
    finally:
        klab.send_signal(signal.SIGKILL)
        klab.wait()
    _until(lambda: not running())


def _until(condition: Any, patience_s: float = 30) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_nodes() -> None:
    ran = run("cat /sys/devices/system/node/node*/cpulist", cpus=3, devices=["numa2"])
    assert ran.output.split() == [b"0,2", b"1"]


def test_debian_has_tools_mounts_and_user_namespaces() -> None:
    places = (
        "/proc /sys /dev /dev/pts /dev/shm /sys/fs/cgroup /sys/kernel/debug /sys/kernel/tracing /sys/fs/bpf"
    )
    script = f"""
        set -e
        for place in {places}; do mountpoint -q $place || echo "not mounted: $place"; done
        for tool in gcc python3 strace perf gdb; do command -v $tool >/dev/null || echo "no $tool"; done
        unshare --user --map-root-user id -u
        python3 -c 'print(6 * 7)' >/klab/out/answer
        touch /usr/written
    """
    ran = run(script, base="debian")
    assert (ran.status, ran.output) == (0, b"0\n")
    assert ran.results == {"answer": b"42\n"}
    assert run("test -e /usr/written", base="debian").status == 1


def test_two_edu_devices_share_an_interrupt() -> None:
    ran = run("lspci -vv -d 1234:11e8 | grep -o 'IRQ [0-9]*'", base="debian", devices=["edu2"])
    lines = ran.output.decode().splitlines()
    assert len(lines) == 2
    assert len(set(lines)) == 1


def test_edu_devices_answer_in_a_guest_that_goes_on() -> None:
    ran = run("lspci -x -d 1234:11e8 | grep ^10:", base="debian", devices=["edu2"])
    bars = [line.split()[1:5] for line in ran.output.decode().splitlines()]
    assert len(bars) == 2, bars
    assert bars[0] != bars[1], bars
    assert ["00"] * 4 not in bars, bars
