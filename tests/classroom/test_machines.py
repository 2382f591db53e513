# SPDX-License-Identifier: GPL-3.0-or-later
"""A class of real machines, opened by its playbook: each is itself, none reaches another, nothing is lost."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from klab import cli
from klab.classroom import definition, reach
from klab.classroom.model import Class
from klab.machine import model, process
from klab.paths import repo_dir

NAME, LAB = "real", "kernel-architecture/lkm-lifecycle"
DEADLINE_S = 900
SSH_S = 90
WHO = """hostname; cat /etc/hostname /etc/machine-id /sys/class/net/eth0/address
ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' '"""
FACTS = ("host name", "its file", "machine id", "address", "host key", "random bytes")


class Room:
    """The class, and the commands of its teacher."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def class_(self) -> Class:
        return definition.load(self.folder)

    def play(self, name: str, *words: str, code: int = 0) -> str:
        argv = [repo_dir() / ".venv/bin/ansible-playbook", f"playbooks/{name}.yml", "-i", self.folder, *words]
        done = subprocess.run(
            argv, cwd=repo_dir(), capture_output=True, text=True, check=False, timeout=DEADLINE_S
        )
        assert done.returncode == code, done.stdout[-4000:] + done.stderr[-1000:]
        return done.stdout

    def klab(self, *words: str, code: int = 0) -> dict:
        done = CliRunner().invoke(cli.main, ["class", *words, "--class", str(self.folder), "--json"])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout.splitlines()[-1])

    def run(self, seat: str, command: str, code: int = 0) -> str:
        """A command of the student's on a seat, by the teacher's key."""
        reached = reach.of(self.class_, self.class_.seat(seat))
        argv = ["ssh", "-F", reached.ssh_config, "-o", "BatchMode=yes", reached.name, command]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SSH_S)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    place = tmp_path_factory.mktemp("class")
    folder = shutil.copytree(repo_dir() / "inventories/classroom", place / "inventory")
    (folder / "roster.csv").write_text("login,name,key,seat,group,path\na,A,,,,\nb,B,,,,\n")
    text = (folder / "klab.yml").read_text()
    (folder / "klab.yml").write_text(text.replace("class: kernel\n", f"class: {NAME}\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KLAB_STATE", str(place / "state"))
        made = Room(folder)
        try:
            made.play("classroom_open")
            yield made
        finally:
            for machine in model.everyone():
                argv = [repo_dir() / ".venv/bin/klab", "vm", "destroy", "--name", machine.name, "--yes"]
                subprocess.run(argv, capture_output=True, check=True)


def test_each_is_itself(room: Room) -> None:
    facts = [dict(zip(FACTS, room.run(seat, WHO).splitlines(), strict=True)) for seat in ("a", "b")]
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
