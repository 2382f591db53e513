# SPDX-License-Identifier: GPL-3.0-or-later
"""A class on other computers: klab, kernel and image come there over real ssh, and seats are as anywhere.

Seats a and b sit on `far`; `full`, where c is to sit, has little room. In the order in which they stand.
"""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from classroom import computers
from classroom.computers import USER
from classroom.light import Light
from classroom.machines import FACTS, LAB, WHO
from klab.classroom import reach
from klab.kernel import artefact
from klab.machine import model
from klab.paths import repo_dir
from klab.spread.there import PLACE, PYTHON

NAME = "away"
HOME = f"/home/{USER}"
CACHE, STATE = f"{HOME}/.cache", f"{HOME}/.local/state/klab"
MIB = 1 << 20
SMALL_MIB = 300
ENOUGH_MIB = 200  # of a copy that is cut off
SENT_S = 300


class Two(computers.Away):
    """The class, and the computers that hold it."""

    @property
    def far(self) -> Light:
        return self.all[0]

    @property
    def full(self) -> Light:
        return self.all[1]

    def parts(self) -> list[str]:
        """Options that name the kernel and the image of the machines on `far`."""
        said = json.loads(self.far.run(f"cat {STATE}/machines/{NAME}-template/machine.json"))
        return ["--kernel", said["kernel"]["digest"], "--image", said["image"]["digest"]]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    place = tmp_path_factory.mktemp("away")
    held = {  # MiB for two seats, and for one
        "far": "memory: 2600, disk: 6, cpus: 2",
        "full": "memory: 1300, disk: 6, cpus: 2",
    }
    with pytest.MonkeyPatch.context() as patch, computers.standing(2, place) as made:
        patch.setenv("KLAB_STATE", str(place / "state"))
        yield Two(place, NAME, ("a", "b", "c"), made, held)


def size_mib(computer: Light, path: str) -> int:
    """MiB that are below a path there."""
    return int(computer.run(f"du -sm {path} 2>&- | cut -f1").strip() or 0)


def test_a_rehearsal_says_what_would_be_sent_and_sends_nothing(room: Two) -> None:
    said = room.play("classroom_open", "--check")
    (sent,) = re.findall(r"would be brought to far: kernels \w+, images \w+, (\d+) MiB", said)
    assert int(sent) > 1000
    assert room.far.run(f"ls -A {HOME}/.cache {HOME}/.local 2>&- || true") == ""


def test_one_without_room_costs_its_own_seats_alone(room: Two) -> None:
    room.full.run(f"mkdir {CACHE}; mount -t tmpfs -o size={SMALL_MIB}m,uid=1000,gid=1000 none {CACHE}")
    said = room.play("classroom_open", code=2)
    assert re.search(
        rf"{NAME}-c: full: its cache has \d+ MiB of room, and \d+ MiB are to come: kernels", said
    )
    assert (room.class_.state / "failed").read_text() == f"{NAME}-c\n"
    assert size_mib(room.full, f"{CACHE}/klab/work") == 0


def test_each_is_itself_on_the_kernel_of_the_class(room: Two) -> None:
    facts = [dict(zip(FACTS, room.run(seat, WHO).splitlines(), strict=True)) for seat in ("a", "b")]
    for name in FACTS:
        assert facts[0][name] != facts[1][name], name
    release = artefact.get("lab").manifest["release"]
    assert room.run("a", "uname -r").strip() == release
    assert "Makefile" in room.run("b", f"ls ~/labs/{LAB}")
    assert model.everyone() == [], "nothing of them is here"
    owners = set(room.far.run("ps -C qemu-system-x86 -o user=").split())
    assert owners == {USER}


def test_only_the_hypervisor_reaches_them(room: Two) -> None:
    config = reach.of(room.class_, room.class_.seat("a")).ssh_config.read_text()
    port = int(re.findall(r"Port (\d+)", config)[0])
    assert f"0100007F:{port:04X} " in room.far.run("cat /proc/net/tcp")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((room.far.address, port), timeout=5)


def test_a_second_time_changes_nothing(room: Two) -> None:
    room.run("a", f"echo mine >~/labs/{LAB}/mine")
    said = room.play("classroom_open", "--limit", f"{NAME}-a,{NAME}-b")
    assert re.findall(r"changed=(\d+)", said) == ["0", "0"]
    assert room.run("a", f"cat ~/labs/{LAB}/mine") == "mine\n"


def test_a_student_s_klab_is_answered_there(room: Two) -> None:
    assert "lkm-lifecycle" in room.run("a", "klab list")
    assert "Hint 1" in room.run("a", "klab hint lkm-lifecycle")
    assert "has no graders" in room.run("a", "klab check lkm-lifecycle", code=1)
    room.klab("lab", "close", "lkm-lifecycle", "--seat", "a")
    assert "your teacher has closed" in room.run("a", "klab start lkm-lifecycle", code=1)
    room.klab("lab", "open", "lkm-lifecycle", "--seat", "a")
    assert "There already" in room.run("a", "klab start lkm-lifecycle")


def test_the_class_is_seen_and_its_work_fetched(room: Two, tmp_path: Path) -> None:
    seats = {row["seat"]: row for row in room.klab("status", "--seat", "a", "--seat", "b")["seats"]}
    assert [seats[f"{NAME}-{seat}"]["labs"][LAB] for seat in ("a", "b")] == ["started", "started"]
    assert all(row["up"] for row in seats.values())
    assert not room.klab("lab", "renew", "lkm-lifecycle", "--seat", "a")["changed"]
    room.klab("collect", "lkm-lifecycle", "--seat", "a", "--to", str(tmp_path))
    assert (tmp_path / f"{NAME}-a/{LAB}/mine").read_text() == "mine\n"


def test_one_is_put_back(room: Two) -> None:
    who = room.run("a", WHO).splitlines()
    room.run("a", f"echo mine >~/labs/{LAB}/mine; sudo sh -c 'echo broken >/etc/nsswitch.conf'")
    assert room.klab("restore", "a")["labs"] == [LAB]
    again = room.run("a", WHO).splitlines()
    assert again[:5] == who[:5]
    assert again[5] != who[5]
    assert "passwd" in room.run("a", "cat /etc/nsswitch.conf")
    assert room.run("a", f"cat ~/labs/{LAB}/mine") == "mine\n"


def test_a_copy_that_is_cut_off_goes_on(room: Two) -> None:
    room.full.run(f"umount {CACHE}; chown {USER} {CACHE}")
    words = ["spread", "full", *room.parts()]
    whole = room.klab(*words, "--check")["bytes"]
    argv = [*room.inside, repo_dir() / ".venv/bin/klab", "class", *words, "--class", room.folder]
    with subprocess.Popen(argv, cwd=repo_dir(), stderr=subprocess.PIPE, text=True) as copy:
        until = time.monotonic() + SENT_S
        while size_mib(room.full, f"{CACHE}/klab/work") < ENOUGH_MIB and time.monotonic() < until:
            time.sleep(0.2)
        room.full.kill_ssh()
        _, said = copy.communicate(timeout=60)
    assert copy.returncode == 1
    assert re.search(r"full: the copy of \w+ \w+ was cut off: ", said)
    room.full.wait()
    assert room.full.run(f"ls {CACHE}/klab/kernels {CACHE}/klab/images 2>&- || true").split() == []
    rest = room.klab(*words, "--check")["bytes"]
    assert rest < whole - (ENOUGH_MIB - 50) * MIB
    assert room.klab(*words)["bytes"] == rest
    assert room.klab(*words)["bytes"] == 0


def test_a_byte_that_changed_there_is_noticed(room: Two) -> None:
    words = room.parts()
    path = f"{CACHE}/klab/kernels/{words[1]}/bzImage"
    right = room.full.run(f"sha256sum {path}")
    room.full.run(f"printf x | dd of={path} bs=1 seek=1000 conv=notrunc status=none")
    assert room.full.run(f"sha256sum {path}") != right
    said = room.klab("spread", "full", *words)
    assert [name.split()[0] for name in said["brought"]] == ["kernels"]
    assert room.full.run(f"sha256sum {path}") == right


def test_the_seat_that_failed_is_made_once_there_is_room(room: Two) -> None:
    room.play("classroom_open", "--limit", f"@{room.class_.state / 'failed'}")
    assert room.run("c", "hostname").strip() == f"{NAME}-c"
    assert (room.class_.state / "failed").read_text() == ""
    said = room.play("classroom_open")
    assert set(re.findall(r"changed=(\d+)", said)) == {"0"}


def test_overnight_they_are_off_and_go_on(room: Two) -> None:
    room.run("a", "nohup sleep 100000 >/dev/null 2>&1 & echo $! >~/pid")
    room.play("classroom_stop")
    assert room.far.run("pgrep qemu-system || true") == ""
    room.play("classroom_open")
    assert "sleep" in room.run("a", "cat /proc/$(cat ~/pid)/comm")


def test_the_class_is_closed_and_klab_stays_there(room: Two) -> None:
    room.play("classroom_close")
    (archive,) = (room.class_.state / "archives").glob("*.tar.gz")
    assert room.klab("verify", str(archive))
    for one in (room.far, room.full):
        assert one.run("pgrep qemu-system || true") == ""
        assert one.run(f"ls {STATE}/machines | grep -v lock$ || true") == ""
        assert one.run(f"ls {HOME}/{PLACE}/keys") == ""
    room.far.run(f"su {USER} -c '{HOME}/{PYTHON} -m klab cache list' | grep -q images")
