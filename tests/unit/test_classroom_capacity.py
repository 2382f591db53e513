# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hypervisor carries, and what a plan says of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from fixtures.rosters import DEFINITION, rows, write
from klab.classroom import capacity, definition, placement, plan
from klab.classroom.capacity import Cost, Room
from klab.classroom.model import Class, Hypervisor
from klab.cli import main
from klab.errors import KlabError

EACH = Cost(memory=1000, rest_memory=500, disk=100, cpus=0.1)
HERE = Room(memory=8000, disk=10_000, cpus=4)


@pytest.fixture(autouse=True)
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seat of round numbers, on a computer of round numbers, so that sums can be followed."""
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(capacity, "cost", lambda memory: EACH)
    monkeypatch.setattr(capacity, "here", lambda: HERE)
    monkeypatch.setattr(capacity, "_meminfo", lambda: {"MemAvailable": 8000})


def on_this(folder: Path, count: int) -> Class:
    text = DEFINITION.partition("hypervisors:")[0] + "hypervisors:\n  localhost:\n"
    return definition.load(write(folder, rows(count), definition=text))


def test_the_scarcest_counts():
    assert capacity.carried(HERE, EACH) == 8
    assert capacity.carried(replace(HERE, disk=350), EACH) == 3
    assert capacity.carried(replace(HERE, cpus=0.25), EACH) == 2
    assert capacity.carried(replace(HERE, memory=0), EACH) == 0


def test_what_is_measured_is_whole():
    body = capacity.measured()
    assert body["seats"]
    for row in body["seats"]:
        assert row["rest_mib"] <= row["lab_mib"]
        assert all(
            row[key] > 0 for key in ("memory", "rest_mib", "lab_mib", "check_mib", "disk_mib", "rest_cpus")
        )


def test_a_size_that_was_not_measured_may_use_all_it_has_more(monkeypatch):
    monkeypatch.undo()
    first = min(capacity.measured()["seats"], key=lambda row: row["memory"])
    last = max(capacity.measured()["seats"], key=lambda row: row["memory"])
    assert capacity.cost(first["memory"]).memory == first["lab_mib"] + first["check_mib"]
    assert capacity.cost(first["memory"] // 2).memory == first["lab_mib"] + first["check_mib"]
    assert capacity.cost(last["memory"] + 1000).memory == last["lab_mib"] + last["check_mib"] + 1000


def test_this_computer_keeps_something_for_itself(monkeypatch):
    monkeypatch.undo()
    total = capacity._meminfo()["MemTotal"]
    assert 0 < capacity.here().memory < total
    assert capacity.here().cpus >= 1


def test_hypervisors_on_one_computer_part_it():
    both = [Hypervisor("localhost"), Hypervisor("virt", provider="libvirt")]
    found = capacity.rooms(both, 512, {}, ())
    assert found["localhost"] == found["virt"] == Room(4000, 5000, 2)
    said = [replace(both[0], memory=6000, disk=2), both[1]]
    found = capacity.rooms(said, 512, {}, ())
    assert found == {"localhost": Room(6000, 2048, 2), "virt": Room(2000, 10_000 - 2048, 2)}


def test_the_disk_of_seats_that_are_there_is_theirs():
    at = {"k-a": "localhost", "k-b": "localhost"}
    found = capacity.rooms([Hypervisor("localhost")], 512, at, {"k-a"})
    assert found["localhost"].disk == HERE.disk + EACH.disk


def test_it_fits_to_the_last_seat_and_not_beyond(tmp_path):
    assert capacity.crowded(on_this(tmp_path / "a", 8), ()) == []
    capacity.check(on_this(tmp_path / "a", 8), ())
    with pytest.raises(KlabError) as caught:
        capacity.check(on_this(tmp_path / "b", 9), ())
    assert caught.value.what == (
        "localhost carries 8 seats, not 9: they take 9000 MiB of memory where there are 8000 (klab.yml:8)"
    )


def test_memory_that_others_hold_now_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(capacity, "_meminfo", lambda: {"MemAvailable": 2500})
    class_ = on_this(tmp_path / "a", 3)
    assert capacity.crowded(class_, ()) == [
        "this computer has 2500 MiB of memory free now, and 3 more seats take 3000"
    ]
    assert capacity.crowded(class_, {class_.seats[0].name}) == []


def test_a_seat_that_was_left_takes_room(tmp_path):
    class_ = replace(on_this(tmp_path / "a", 8), left=(("k26-old", "localhost"),))
    assert "carries 8 seats, not 9" in capacity.crowded(class_, ())[0]


def test_a_left_seat_of_a_hypervisor_that_is_gone_is_no_load(tmp_path):
    class_ = replace(on_this(tmp_path / "a", 1), left=(("k26-old", "hyper9"), ("k26-pc", "")))
    assert [load.seats for load in capacity.loads(class_, ())] == [1]


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["class", "plan", *words])
    return done.exit_code, done.output


def test_the_plan_of_a_class_that_fits(tmp_path):
    folder = write(tmp_path / "a", [*rows(3), "ada,Ada,,pc07,,"])
    code, said = run("--class", str(folder))
    assert code == 0
    assert re.search(r"^k26-student01 +student01 +Student 1 +hyper[12] ", said, re.M)
    assert re.search(r"^k26-pc07 +ada +Ada +192.0.2.57 +existing", said, re.M)
    assert re.search(r"^hyper1 +\d+ +\d+ +\d+ of 65536 ", said, re.M)
    assert "without a key, so that only the teacher's opens the seat: ada" in said
    assert said.endswith("it fits\n")


def test_the_plan_of_one_that_does_not(tmp_path):
    folder = on_this(tmp_path / "a", 9).folder
    code, said = run("--class", str(folder))
    assert code == 1
    assert "localhost carries 8 seats, not 9" in said
    assert "localhost: at rest 4500 MiB; when all compute, each has 0.44 cores" in said
    code, said = run("--class", str(folder), "--json")
    body = json.loads(said)["plan"]
    assert code == 1
    assert (body["fits"], len(body["seats"]), body["hypervisors"][0]["carries"]) == (False, 9, 8)


def test_the_plan_tells_who_moved_and_who_left(tmp_path):
    class_ = on_this(tmp_path / "a", 2)
    placement.save(class_)
    class_.seat_dir("k26-student01").mkdir(parents=True)
    folder = write(tmp_path / "a", rows(2, start=2))
    code, said = run("--class", str(folder))
    assert "k26-student01 is no longer in the roster and is kept, on localhost" in said
    assert "k26-student02 was on localhost, which no longer holds it" in said
    assert code == 0


def test_a_mistake_is_told_in_the_form_of_all(tmp_path):
    folder = write(tmp_path / "a", ["root,R,,,,"])
    code, said = run("--class", str(folder), "--json")
    assert code == 1
    assert "roster.csv:2: login 'root'" in json.loads(said)["error"]["what"]


def test_planning_changes_nothing(tmp_path):
    run("--class", str(write(tmp_path / "a", rows(3))))
    assert not (tmp_path / "state").exists()


def test_columns_stand_below_each_other():
    assert plan.table([("a", "bb"), ("ccc", "")]) == "a    bb\nccc"


def test_another_computer_holds_the_image_too():
    there = Hypervisor("hyper1", address="192.0.2.10", memory=4000, disk=10, cpus=2)
    once = capacity.measured()["once"]["disk_mib"]
    assert capacity.rooms([there], 512, {}, ()) == {"hyper1": Room(4000, 10 * 1024 - once, 2)}
    assert capacity.rooms([replace(there, disk=0.5)], 512, {}, ())["hyper1"].disk == 0
