# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypervisors that are other computers, as their class sees them. The computer is fixtures/fakessh.py's."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import classes, fakessh
from klab.classroom import away, hypervisors, inventory, keys, reach, restore
from klab.classroom.model import QEMU, Class, Hypervisor
from klab.desk import record
from klab.errors import KlabError
from klab.machine import argv, model
from klab.machine.model import Machine
from klab.spread.there import PLACE, PYTHON

LAB = "kernel-architecture/lkm-lifecycle"
FAR = Hypervisor("far", "192.0.2.9", "klab", provider=QEMU)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of klab on the other computer."""
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    fakessh.make(tmp_path / "far", monkeypatch)
    return tmp_path / "far/home"


@pytest.fixture
def class_(monkeypatch: pytest.MonkeyPatch) -> Class:
    """Two seats there, one here."""
    monkeypatch.setattr(hypervisors.accel, "probe", lambda: None)
    made = classes.of(classes.virtual(1, FAR), classes.virtual(2, FAR), classes.virtual(3))
    made = replace(made, hypervisors=(classes.HERE, FAR))
    keys.make(made)
    return made


def record_of(home: Path, name: str) -> Path:
    """The folder of a machine there."""
    machine = Machine(
        name, "u", argv.machine_type(), 64, 1, 2299, 1299, "tcg", "a test", hardware=argv.HARDWARE
    )
    folder = home / ".local/state/klab/machines" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "machine.json").write_text(json.dumps({**vars(machine)}))
    return folder


def test_a_rehearsal_lays_nothing(class_: Class, home: Path) -> None:
    found = hypervisors.look(class_, class_.seats, check=True)
    assert (found.absent, found.changed, found.errors, found.host_keys) == (["far"], True, {}, {})
    assert not (home / PLACE).exists()


def test_the_other_computer_gets_klab_and_the_keys_of_its_seats_once(class_: Class, home: Path) -> None:
    found = hypervisors.look(class_, class_.seats)
    assert (found.changed, found.errors) == (True, {})
    assert found.leads == {"far": "c1-s01", "here": "c1-s03"}
    assert sorted(found.host_keys) == ["c1-s01", "c1-s02"]
    ours = reach.host_key(class_, class_.seats[0])
    assert Path(found.host_keys["c1-s01"]).read_text() == ours.read_text()
    again = hypervisors.look(class_, class_.seats)
    assert not again.changed
    assert again.host_keys == found.host_keys


def test_one_that_is_silent_stops_no_other(class_: Class, tmp_path: Path) -> None:
    (tmp_path / "far/down").write_text("ssh: connect to host 192.0.2.9 port 22: No route to host\n")
    found = hypervisors.look(class_, class_.seats)
    assert [*found.errors] == ["far"]
    assert "No route to host" in found.errors["far"].what
    assert not hypervisors.look(class_, class_.seats[2:]).errors, "whose seats are not meant is not asked"


def test_both_providers_of_a_computer_have_one_seat_that_leads(class_: Class) -> None:
    virt = replace(FAR, name="virt", provider="libvirt")
    both = replace(class_, hypervisors=(FAR, virt), seats=(classes.virtual(1, virt), classes.virtual(2, FAR)))
    assert hypervisors._leads(both, both.seats) == {"virt": "c1-s01", "far": "c1-s01"}


def test_a_qemu_that_cannot_go_on_is_told(class_: Class, home: Path) -> None:
    hypervisors.look(class_, class_.seats)
    path = record_of(home, "c1-template") / "machine.json"
    path.write_text(path.read_text().replace(argv.machine_type(), "pc-q35-99.0"))
    error = hypervisors.look(class_, class_.seats[:1]).errors["far"]
    assert "pc-q35-99.0" in error.what
    assert "another QEMU" in error.what
    assert error.mend.startswith("there: ")


def test_one_without_libvirt_s_daemon_is_told(class_: Class, tmp_path: Path) -> None:
    folder = tmp_path / "far/few"
    folder.mkdir()
    virsh = folder / "virsh"
    virsh.write_text(
        "#!/bin/sh\necho \"error: Failed to connect socket to '/run/libvirt/libvirt-sock'\" >&2; exit 1\n"
    )
    virsh.chmod(0o755)
    (tmp_path / "far/path").write_text(f"{folder}:{os.environ['PATH']}")
    virt = replace(FAR, provider="libvirt", uri="qemu:///system")
    error = hypervisors.look(replace(class_, hypervisors=(classes.HERE, virt)), class_.seats[:1]).errors[
        "far"
    ]
    assert "libvirt-sock" in error.what
    assert "there: systemctl start libvirtd" in error.mend


def test_ansible_takes_the_python_that_was_laid(class_: Class) -> None:
    found = {host.name: host.variables for host in inventory.hosts(class_)}
    assert found["far"]["ansible_python_interpreter"] == PYTHON
    assert found["here"]["ansible_python_interpreter"] == sys.executable


def test_a_seat_that_listens_for_others_is_reached_at_once(class_: Class) -> None:
    seat = class_.seats[0]
    assert reach.behind(class_, seat) == FAR
    open_ = replace(class_, hypervisors=(classes.HERE, replace(FAR, listen="192.0.2.9")))
    assert reach.behind(open_, seat) is None
    made, _ = reach.write(open_, seat, address="192.0.2.9", port=2222)
    assert "ProxyJump" not in made.ssh_config.read_text()


def test_all_seats_share_one_connection_to_their_hypervisor(class_: Class, tmp_path: Path) -> None:
    for seat in class_.seats[:2]:
        reach.write(class_, seat, address="127.0.0.1", port=2222)
    (tmp_path / "far/bin/ssh").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n')
    reach.ahead(class_, class_.seats)
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.endswith(" far true")
    said = [
        subprocess.run(
            ["/usr/bin/ssh", "-G", "-F", reach.of(class_, seat).ssh_config, "far"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seat in class_.seats[:2]
    ]
    paths = {line for text in said for line in text.splitlines() if line.startswith("controlpath ")}
    assert len(paths) == 1


def test_what_students_did_at_the_desk_there_is_known_here(class_: Class, home: Path) -> None:
    hypervisors.look(class_, class_.seats)
    folder = record_of(home, "c1-s01")
    told = {LAB: {"started": 50, "hints": 2, "checks": []}}
    (folder / "seat.json").write_text(json.dumps(told))
    assert away.fetch(class_, class_.seats) == {}
    reached = reach.of(class_, class_.seats[0])
    with record.changing(reached, LAB) as mine:
        mine.started = 70
        mine.checks.append(record.Check(80, "fail", 1))
    both = away.load(reached)[LAB]
    assert (both.started, both.hints, both.word) == (50, 2, "tried")
    assert away.load(reach.of(class_, class_.seats[1])) == {}


def test_a_lab_is_closed_there_too(class_: Class, home: Path, tmp_path: Path) -> None:
    hypervisors.look(class_, class_.seats)
    folder = record_of(home, "c1-s01")
    away.close(class_, class_.seats, [LAB])
    assert (folder / "closed").read_text() == f"{LAB}\n"
    away.close(class_, class_.seats, [LAB], again=True)
    assert (folder / "closed").read_text() == ""
    (tmp_path / "far/down").write_text("Connection refused\n")
    assert [*away.close(class_, class_.seats, [LAB])] == ["c1-s01", "c1-s02"]


def test_a_student_there_is_told_who_checks(class_: Class, home: Path) -> None:
    hypervisors.look(class_, class_.seats)
    record_of(home, "c1-s01")

    def call(words: str) -> subprocess.CompletedProcess[str]:
        env = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        argv = [home / PYTHON, "-m", "klab", "desk", "c1-s01"]
        return subprocess.run(
            argv, input=f"'' '' {words}\n", capture_output=True, text=True, env=env, check=False
        )

    assert "lkm-lifecycle" in call("list").stdout
    said = call("check lkm-lifecycle").stdout
    assert "has no graders" in said
    assert "your teacher's computer checks your files" in said


def test_a_seat_there_is_put_back_by_the_klab_there(
    class_: Class, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hypervisors.look(class_, class_.seats)
    monkeypatch.setattr(restore.grade, "there", lambda *_: [])
    with pytest.raises(KlabError, match="far: there is no machine c1-s01") as error:
        restore.run(class_, class_.seats[0], discard=True, deadline_s=5)
    assert error.value.machine == "far"
    record_of(home, "c1-s01")
    with pytest.raises(KlabError, match="far: c1-s01 has no ready point yet"):
        restore.run(class_, class_.seats[0], discard=True, deadline_s=5)
    assert model.everyone() == []
