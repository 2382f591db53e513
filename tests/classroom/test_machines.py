# SPDX-License-Identifier: GPL-3.0-or-later
"""A class of real machines, opened by its playbook: each is itself, none reaches another, nothing is lost."""

import hashlib
import os
import shlex
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from classroom import machines
from classroom.machines import FACTS, LAB, WHO, Room
from klab.classroom import reach
from klab.kernel import artefact
from klab.machine import argv, disk, domain, model, process

NAME = "real"
BURN_S = 600
# As root: more programs than processors, one that takes all memory again and again, and a full disk.
BURN = """for n in 1 2 3 4; do (while :; do :; done) & done
(while :; do tail /dev/zero; done) &
nice -n -15 dd if=/dev/zero of=/burnt bs=4M oflag=direct 2>/dev/console"""
FULL = "dd: error writing '/burnt': No space left on device"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with machines.opened(tmp_path_factory.mktemp("class"), NAME, "{provider: qemu}") as made:
        yield made


def cpu_s(pid: int) -> float:
    """Seconds of processors that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """What a process has in memory."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024


def test_each_is_itself(room: Room) -> None:
    facts = [room.who(seat) for seat in ("a", "b")]
    for name in FACTS:
        assert facts[0][name] != facts[1][name], name
    assert [one["host name"] for one in facts] == [f"{NAME}-a", f"{NAME}-b"]
    assert abs(float(room.run("a", "date +%s")) - time.time()) < 10


def test_the_labs_are_there_and_a_second_time_changes_nothing(room: Room) -> None:
    assert "Makefile" in room.run("a", f"ls ~/labs/{LAB}")
    room.run("a", f"echo mine >~/labs/{LAB}/mine")
    said = room.play("classroom_open")
    assert f"{NAME}-a" in said
    assert "changed=1" not in said
    assert room.run("a", f"cat ~/labs/{LAB}/mine") == "mine\n"


def test_a_seat_reaches_nobody(room: Room) -> None:
    """Not as root, either: neither this computer, nor another seat, nor what is beyond."""
    other = model.get(f"{NAME}-b")
    with socket.create_server(("127.0.0.1", 0)) as ours:
        ports = [ours.getsockname()[1], other.ssh_port, other.gdb_port]
        for port in ports:
            said = room.run("a", f"sudo timeout 5 bash -c ': </dev/tcp/10.0.2.2/{port}' 2>&1; echo $?")
            assert said.splitlines()[-1] != "0", port
    # What lies beyond is tried by its number: without names, a name would fail for want of one.
    for place in ("10.0.2.3/53", "192.0.2.1/80"):
        said = room.run("a", f"sudo timeout 5 bash -c ': </dev/tcp/{place}' 2>&1; echo $?")
        assert said.splitlines()[-1] != "0", place
    assert room.run("a", "sudo cat /proc/mounts | grep -cE ' (9p|virtiofs|nfs) '; true").strip() == "0"
    teacher = (
        reach.client_key(room.class_).read_text().splitlines()[3]
    )  # the first lines of all keys are alike
    places = "/etc /home /root /run /var /tmp --exclude-dir=journal"  # where sudo notes this very search
    assert room.run("a", f"sudo grep -rlF {teacher} {places} 2>/dev/null; true") == ""


def test_what_they_share_stays_as_it_is(room: Room) -> None:
    """One that is root writes all over its memory and disk; the template's files do not notice."""
    shared = [
        model.get(f"{NAME}-template").file(f"ready/{name}") for name in ("memory", "state", "disk.qcow2")
    ]
    before = [hashlib.file_digest(path.open("rb"), "sha256").hexdigest() for path in shared]
    room.run(
        "a", "sudo sh -c 'head -c 100M /dev/urandom >/dev/shm/x; head -c 50M /dev/urandom >/root/x; sync'"
    )
    assert [hashlib.file_digest(path.open("rb"), "sha256").hexdigest() for path in shared] == before
    assert room.run("b", "sudo sh -c 'ls /root/x' 2>&1; true").startswith("ls: cannot access")


def test_one_that_burns_all_burns_its_own(room: Room) -> None:
    """Processor, memory and disk have ends, its neighbour goes on, and it can be put back."""
    machine = model.get(f"{NAME}-a")
    pid, began = process.pid_of(machine), time.monotonic()
    assert pid
    before, most = cpu_s(pid), 0.0
    room.run("a", f"sudo nohup sh -c {shlex.quote(BURN)} >/dev/null 2>&1 &")
    try:
        # It may have no time for ssh; its console is written to all the same.
        while FULL not in machine.console.read_text(errors="replace") and time.monotonic() - began < BURN_S:
            time.sleep(5)
            most = max(most, memory_mib(pid))
            room.run("b", "cat /proc/loadavg")
        used = (cpu_s(pid) - before) / (time.monotonic() - began)
        assert FULL in machine.console.read_text(errors="replace")
        assert most < machine.memory + argv.translated(machine) + domain.ROOM
        assert used < machine.cpus + 0.5  # its processors, and QEMU itself as it writes
        info = disk.info(machine)
        assert info["virtual-size"] / 2 < info["actual-size"] < 1.05 * info["virtual-size"]
    finally:
        room.klab("restore", "a", "--discard")
    assert disk.info(machine)["actual-size"] < 100 << 20
    assert room.run("a", "ls /burnt 2>/dev/null; true") == ""


def test_another_kernel_keeps_the_work(room: Room) -> None:
    room.run("b", f"echo mine >~/labs/{LAB}/mine")
    room.play("kernel_boot", "--limit", f"{NAME}-b", "-e", "kernel_boot_flavour=nobtf")
    assert room.run("b", "uname -r").strip() == artefact.get("nobtf").manifest["release"]
    assert room.run("b", f"hostname; cat ~/labs/{LAB}/mine") == f"{NAME}-b\nmine\n"
    room.play("kernel_boot", "--limit", f"{NAME}-b", "-e", "kernel_boot_flavour=lab")
    assert room.run("b", f"uname -r; cat ~/labs/{LAB}/mine").split() == [
        artefact.get("lab").manifest["release"],
        "mine",
    ]


def test_one_that_was_cut_off_comes_back_with_its_work(room: Room) -> None:
    room.run("a", "echo work >~/work; sync")
    machine = model.get(f"{NAME}-a")
    pid = int(machine.pid_file.read_text())
    os.kill(pid, signal.SIGKILL)
    room.play("classroom_open", "--limit", f"{NAME}-a")
    assert room.run("a", "cat ~/work") == "work\n"


def test_overnight_they_are_off_and_go_on(room: Room) -> None:
    room.run("a", "nohup sleep 100000 >/dev/null 2>&1 & echo $! >~/pid")
    room.play("classroom_stop")
    assert [machine.name for machine in model.everyone() if process.pid_of(machine)] == []
    room.play("classroom_open")
    assert "sleep" in room.run("a", "cat /proc/$(cat ~/pid)/comm")
    assert abs(float(room.run("a", "date +%s")) - time.time()) < 10


def test_one_is_put_back(room: Room) -> None:
    who = room.run("a", WHO).splitlines()
    room.run("a", f"echo mine >~/labs/{LAB}/mine; sudo sh -c 'echo broken >/etc/nsswitch.conf'")
    said = room.klab("restore", "a")
    assert said["labs"] == [LAB]
    again = room.run("a", WHO).splitlines()
    assert again[:5] == who[:5]
    assert again[5] != who[5]
    assert "passwd" in room.run("a", "cat /etc/nsswitch.conf")
    assert room.run("a", f"cat ~/labs/{LAB}/mine") == "mine\n"


def test_one_that_cannot_be_had_is_told_and_done_again(room: Room) -> None:
    machine = model.get(f"{NAME}-b")
    os.kill(int(machine.pid_file.read_text()), signal.SIGSTOP)
    said = room.play("classroom_open", code=2)
    assert "1 seats to do again: --limit @" in said
    failed = room.class_.state / "failed"
    assert failed.read_text() == f"{NAME}-b\n"
    os.kill(int(machine.pid_file.read_text()), signal.SIGCONT)
    room.play("classroom_open", "--limit", f"@{failed}")
    assert failed.read_text() == ""


def test_the_class_is_closed_behind_its_archive(room: Room) -> None:
    room.play("classroom_close")
    (archive,) = (room.class_.state / "archives").glob("*.tar.gz")
    assert room.klab("verify", str(archive))
    assert model.everyone() == []
    assert not list((room.class_.state / "seats").iterdir())
