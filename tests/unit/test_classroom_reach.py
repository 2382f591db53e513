# SPDX-License-Identifier: GPL-3.0-or-later
"""How seats are reached: what ssh makes of the files, and many at once without losing one."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures import classes
from klab.classroom import parallel, reach
from klab.errors import KlabError
from klab.machine import model


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))


def settings(seat: reach.Reached, name: str = "") -> dict[str, str]:
    """What ssh itself reads in the seat's ssh_config."""
    said = subprocess.run(
        ["ssh", "-G", "-F", seat.ssh_config, name or seat.name], capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in said.stdout.splitlines() if " " in line)


def test_a_computer_is_reached_by_the_key_of_the_class_alone() -> None:
    seat = classes.existing(1, address="192.0.2.7", port=2022)
    course = classes.of(seat)
    made, changed = reach.write(course, seat)
    said = settings(made)
    assert changed
    assert (said["hostname"], said["port"], said["user"]) == ("192.0.2.7", "2022", "student")
    assert said["identityfile"] == str(course.state / "client")
    assert (said["passwordauthentication"], said["identitiesonly"]) == ("no", "yes")
    assert said["stricthostkeychecking"] == "accept-new"
    assert len(said["controlpath"]) < 80
    assert not (made.dir / "known_hosts").exists()


def test_a_virtual_seat_behind_a_hypervisor_is_known_before_it_lives() -> None:
    seat = classes.virtual(2, classes.THERE)
    course = classes.of(seat)
    made, _ = reach.write(course, seat, address="198.51.100.5")
    said = settings(made)
    key = reach.host_key(course, seat).with_suffix(".pub").read_text().split()[1]
    assert said["stricthostkeychecking"] == "true"
    assert said["proxyjump"] == "there"
    assert key in (made.dir / "known_hosts").read_text()
    by = settings(made, "there")
    assert (by["hostname"], by["port"], by["user"]) == ("192.0.2.10", "2200", "klab")
    assert str(course.state) not in by.get("identityfile", "")


def test_the_second_time_changes_nothing_and_nobody_else_can_read_it() -> None:
    seat = classes.virtual(1, classes.THERE)
    course = classes.of(seat)
    made, _ = reach.write(course, seat, address="198.51.100.5")
    before = {path: path.read_bytes() for path in course.state.rglob("*") if path.is_file()}
    assert reach.write(course, seat, address="198.51.100.5") == (made, False)
    assert before == {path: path.read_bytes() for path in course.state.rglob("*") if path.is_file()}
    for path in course.state.rglob("*"):
        assert path.suffix == ".pub" or not path.stat().st_mode & 0o077, path
    assert reach.write(course, seat, address="198.51.100.6")[1]


def test_a_seat_that_was_never_made_is_said_so() -> None:
    seat = classes.virtual(1)
    with pytest.raises(KlabError, match="nothing says where the seat c1-s01 is"):
        reach.write(classes.of(seat), seat)


def test_what_students_type_in_a_machine_of_this_computer_is_read_from_its_folder() -> None:
    seat = classes.virtual(1)
    course = classes.of(seat)
    assert reach.of(course, seat).file("seat.json") == course.seat_dir("c1-s01") / "seat.json"
    machine = model.machines_dir() / "c1-s01"
    machine.mkdir(parents=True)
    (machine / "machine.json").write_text("{}")
    assert reach.of(course, seat).file("seat.json") == machine / "seat.json"


def test_a_seat_is_found_by_its_name_alone() -> None:
    seat = classes.existing(1)
    made, _ = reach.write(classes.of(seat), seat)
    assert reach.named("c1-s01") == made
    with pytest.raises(KlabError, match="there is no machine c1-s02"):
        reach.named("c1-s02")


def test_each_gives_its_own_and_none_stops_the_others() -> None:
    seats = [classes.existing(number) for number in range(1, 6)]

    def do(seat):
        if seat.name == "c1-s02":
            raise KlabError("it is off")
        if seat.name == "c1-s03":
            raise ZeroDivisionError
        return seat.student.login

    heard: list[str] = []
    found = parallel.over(seats, do, jobs=2, tell=lambda name, _: heard.append(name))
    assert list(found) == [seat.name for seat in seats]
    assert sorted(heard) == list(found)
    assert found["c1-s05"] == "student05"
    assert "it is off" in str(found["c1-s02"])
    assert found["c1-s02"].machine == "c1-s02"
    broken = found["c1-s03"]
    assert "ZeroDivisionError" in broken.what
    assert "Traceback" in Path(broken.log).read_text()


def test_all_are_at_it_at_once() -> None:
    together = threading.Barrier(8, timeout=20)
    seats = [classes.existing(number) for number in range(1, 9)]
    assert len(set(parallel.over(seats, lambda _: together.wait()).values())) == 8


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What runs in a shell's background is begun with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_what_was_started() -> None:
    seats = [classes.existing(number) for number in range(1, 4)]
    stop, began = threading.Event(), time.monotonic()
    running = threading.Barrier(3, action=lambda: os.kill(os.getpid(), signal.SIGINT))

    def do(_):
        with subprocess.Popen(["sleep", "60"]) as child:
            running.wait(20)
            return child.wait()

    with pytest.raises(KeyboardInterrupt):
        parallel.over(seats, do, stop=stop)
    assert stop.is_set()
    assert time.monotonic() - began < 20
