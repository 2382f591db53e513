# SPDX-License-Identifier: GPL-3.0-or-later
"""Seats that another computer's libvirt holds, in its user's own session: the same as any other."""

import re
from collections.abc import Iterator

import pytest

from classroom import computers
from classroom.computers import Away
from classroom.machines import FACTS, LAB, WHO
from klab.machine import model

NAME = "farvirt"
SEATS = ("a", "b")
SESSION = "qemu:///session"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Away]:
    place = tmp_path_factory.mktemp("away")
    held = {"far": f'provider: libvirt, uri: "{SESSION}", memory: 3000, disk: 6, cpus: 2'}
    with pytest.MonkeyPatch.context() as patch, computers.standing(1, place) as made:
        patch.setenv("KLAB_STATE", str(place / "state"))
        made_room = Away(place, NAME, SEATS, made, held)
        made_room.play("classroom_open")
        yield made_room


def virsh(room: Away, *words: str) -> str:
    """What its user's daemon says."""
    said = " ".join(words)
    return room.all[0].run(f"su - {computers.USER} -c 'virsh --quiet -c {SESSION} {said}'")


def test_each_is_itself_and_a_domain_of_that_computer(room: Away) -> None:
    facts = [dict(zip(FACTS, room.run(seat, WHO).splitlines(), strict=True)) for seat in SEATS]
    for name in FACTS:
        assert facts[0][name] != facts[1][name], name
    domains = {f"klab-{NAME}-{seat}" for seat in SEATS}
    assert set(virsh(room, "list", "--name", "--state-running").split()) == domains
    assert model.everyone() == [], "nothing of them is here"


def test_a_second_time_changes_nothing(room: Away) -> None:
    assert set(re.findall(r"changed=(\d+)", room.play("classroom_open"))) == {"0"}


def test_one_is_put_back_with_its_work(room: Away) -> None:
    room.run("a", f"echo mine >~/labs/{LAB}/mine; sudo sh -c 'echo broken >/etc/nsswitch.conf'")
    assert room.klab("restore", "a")["labs"] == [LAB]
    assert "passwd" in room.run("a", "cat /etc/nsswitch.conf")
    assert room.run("a", f"cat ~/labs/{LAB}/mine") == "mine\n"


def test_overnight_they_are_off_and_go_on(room: Away) -> None:
    room.run("a", "nohup sleep 100000 >/dev/null 2>&1 & echo $! >~/pid")
    room.play("classroom_stop")
    assert virsh(room, "list", "--name", "--state-running").split() == []
    room.play("classroom_open")
    assert "sleep" in room.run("a", "cat /proc/$(cat ~/pid)/comm")


def test_after_the_class_no_domain_is_left(room: Away) -> None:
    room.play("classroom_close")
    assert virsh(room, "list", "--name", "--all").split() == []
