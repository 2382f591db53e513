# SPDX-License-Identifier: GPL-3.0-or-later
"""Light seats are machines of their own, break as they are told to, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from classroom import light


def ssh(
    room, number: int, command: str, *more: str, timeout_s: float = 30
) -> subprocess.CompletedProcess[str]:
    """A command on a seat, over a connection of its own."""
    seat = room.reached(number)
    alone = ["-o", "BatchMode=yes", "-o", "ControlPath=none", *more]
    argv = ["ssh", "-F", seat.ssh_config, *alone, seat.name, command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout_s)


def test_each_is_a_machine_of_its_own(room) -> None:
    look = "hostname; cat /proc/sys/kernel/random/boot_id /etc/ssh/ssh_host_ed25519_key.pub; sudo -n id -u"
    said = [ssh(room, number, look).stdout.splitlines() for number in (1, 2, 3)]
    assert [lines[0] for lines in said] == [seat.name for seat in room.seats]
    assert len({lines[1] for lines in said}) == len({lines[2] for lines in said}) == 3
    assert all(lines[-1] == "0" for lines in said)
    ssh(room, 1, "touch ~/mine")
    assert "mine" not in ssh(room, 2, "ls ~").stdout
    net = Path("/proc/net/dev").read_text()
    assert "br0" in net
    assert "eth0" not in net


def test_faults(room) -> None:
    one, two, three = room.seats
    boot = one.run("cat /proc/sys/kernel/random/boot_id; echo kept >/var/kept; sync")
    one.reboot()
    one.wait()
    after = ssh(room, 1, "cat /proc/sys/kernel/random/boot_id; cat /var/kept").stdout
    assert "kept" in after
    assert boot not in after

    running = subprocess.Popen(
        ["ssh", "-F", room.reached(2).ssh_config, room.reached(2).name, "sleep 60"], stderr=subprocess.DEVNULL
    )
    while "sleep 60" not in two.run("ps axo args"):
        time.sleep(0.1)
    two.kill_ssh()
    assert running.wait(10) == 255
    two.wait()
    assert ssh(room, 2, "true").returncode == 0

    three.fill()
    assert "No space left" in ssh(room, 3, "head -c 1M /dev/zero >~/more").stderr
    three.free()
    assert ssh(room, 3, "head -c 1M /dev/zero >~/more").returncode == 0
    three.hold("/var/lib/dpkg/lock-frontend", 60)
    assert ssh(room, 3, "sudo -n flock -n /var/lib/dpkg/lock-frontend true").returncode == 1

    three.new_host_key()
    three.wait()
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in ssh(room, 3, "true", "-o", "LogLevel=INFO").stderr

    one.run("setsid -f sleep 61.25 >/dev/null 2>&1")
    (program,) = [p.parent for p in Path("/proc").glob("[0-9]*/cmdline") if _read(p) == "sleep\x0061.25\x00"]
    one.slow(0.05, 30)
    states, until = set(), time.monotonic() + 25
    while not states >= {"T", "S"} and time.monotonic() < until:  # stopped, and at times not
        states.add((program / "stat").read_text().split()[2])
        time.sleep(0.005)
    assert states >= {"T", "S"}
    assert "took its time" in one.run("echo took its time")


def test_nothing_is_left_of_a_world_whose_maker_was_killed(tmp_path: Path) -> None:
    note = tmp_path / "note"
    script = f"cp $SEATS {note}.new; mv {note}.new {note}; exec sleep 60"
    maker = subprocess.Popen([sys.executable, light.__file__, "2", "--", "sh", "-c", script])
    until = time.monotonic() + 40
    while not note.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert len(json.loads(note.read_text())["seats"]) == 2
    mine = [path for path in Path("/proc").glob("[0-9]*/mounts") if _light(path)]
    assert mine
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait()
    while any(_light(path) for path in mine) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_light(path) for path in mine)


def _read(path: Path) -> str:
    """A file of a process, which may have ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _light(mounts: Path) -> bool:
    """Whether a process lives among light seats' mounts."""
    try:
        return f" {light.PLACE}/tree " in mounts.read_text() or "seat / overlay" in mounts.read_text()
    except OSError:
        return False
