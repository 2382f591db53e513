# SPDX-License-Identifier: GPL-3.0-or-later
"""A lesson of twelve: eight machines of klab's own and four of libvirt's, from the roster to the archive."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from classroom import libvirtd, machines
from classroom.machines import FACTS, LAB, Room
from klab.classroom import capacity
from klab.machine import model, process

NAME = "whole"
SEATS = [f"s{number:02}" for number in range(1, 13)]
OWN, LIBVIRTS = 8, 4


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Each hypervisor has the memory for its part, so that the plan parts them like this."""
    each = int(capacity.cost(512).memory) + 1
    said = (
        f"{{provider: qemu, memory: {OWN * each}}}\n"
        f'  beside: {{provider: libvirt, uri: "qemu:///system", memory: {LIBVIRTS * each}}}'
    )
    with (
        libvirtd.running(tmp_path_factory.mktemp("libvirt")) as daemon,
        machines.opened(tmp_path_factory.mktemp("class"), NAME, said, daemon.inside, SEATS) as made,
    ):
        yield made


def of(room: Room, provider: str) -> list[str]:
    """The seats of a provider, by their name in the roster."""
    return [seat.student.seat for seat in room.class_.seats if seat.provider == provider]


def test_all_are_up_and_each_is_itself(room: Room) -> None:
    assert (len(of(room, "qemu")), len(of(room, "libvirt"))) == (OWN, LIBVIRTS)
    facts = [room.who(seat) for seat in SEATS]
    for name in FACTS:
        assert len({one[name] for one in facts}) == len(SEATS), name
    said = room.klab("status")
    assert [(row["up"], row["labs"]) for row in said["seats"]] == [(True, {LAB: "started"})] * len(SEATS)


def test_a_second_opening_changes_nothing(room: Room) -> None:
    assert "changed=1" not in room.play("classroom_open")


def test_all_are_graded(room: Room) -> None:
    solved = SEATS[::2]
    for seat in solved:
        room.say(*machines.KLAB, "solve", LAB, "--machine", f"{NAME}-{seat}")
    said = room.klab("grade", LAB)
    assert (said["fresh"], said["errors"]) == (len(SEATS), {})
    book = json.loads(next(Path(path) for path in said["gradebook"] if path.endswith(".json")).read_text())
    words = {row["login"]: row["labs"][LAB]["word"] for row in book["seats"]}
    assert words == {seat: "pass" if seat in solved else "fail" for seat in SEATS}
    assert len({row["labs"][LAB]["seed"] for row in book["seats"]}) == len(SEATS)
    room.klab("verify", str(Path(said["gradebook"][0]).parent))
    assert room.klab("grade", LAB)["fresh"] == 0


def test_one_of_each_kind_is_put_back(room: Room) -> None:
    for provider in ("qemu", "libvirt"):
        seat = of(room, provider)[0]
        room.run(seat, f"sudo rm /usr/bin/make; echo mine >~/labs/{LAB}/mine")
        assert room.klab("restore", seat)["labs"] == [LAB]
        assert room.run(seat, f"command -v make; cat ~/labs/{LAB}/mine") == "/usr/bin/make\nmine\n"


def test_it_is_closed_behind_its_archive(room: Room) -> None:
    room.play("classroom_close")
    (archive,) = (room.class_.state / "archives").glob("*.tar.gz")
    assert room.klab("verify", str(archive))
    assert not [machine for machine in model.everyone() if process.pid_of(machine)]
    assert model.everyone() == []
