# SPDX-License-Identifier: GPL-3.0-or-later
"""The ready point on disk, cut off anywhere; waking up; and who a seat is told to be."""

import base64
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.machine import argv, disk, identity, keys, lifecycle, model, process, qmp, rest, seats, wake
from klab.machine.model import Machine
from klab.machine.parts import Seat


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that is off, with a real disk; its QEMU is not there, and what it wrote is."""
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    made = Machine(
        name="m1",
        uuid="7a6fa3a6-6f0a-4b3e-9d1f-3f2a4d0f5c11",
        machine_type="pc-q35-7.2",
        memory=64,
        cpus=1,
        ssh_port=2299,
        gdb_port=1299,
        accel="tcg",
        accel_reason="a test",
        kernel={"digest": "k"},
        hardware=argv.HARDWARE,
    )
    made.dir.mkdir(parents=True)
    (tmp_path / "image").write_bytes(bytes(1 << 20))
    disk.adopt(tmp_path / "image", made.file(disk.BASE))
    disk.layer(made, disk.BASE)
    made.file("bzImage").touch()
    keys.write(made)
    made.save()
    monkeypatch.setattr(qmp, "session", lambda socket, name, talk, patience_s: None)
    monkeypatch.setattr(qmp, "leave", lambda m: None)
    monkeypatch.setattr(process, "wait_gone", lambda template, patience_s: True)
    made.file(rest.DRAFT).write_bytes(b"memory")
    return made


def written(template: Machine) -> None:
    """As QEMU writes the state, which the stand-in does not."""
    template.file(rest.STATE).write_bytes(b"state")


def below(template: Machine) -> str:
    return str(disk.info(template)["backing-filename"])


def test_a_point_is_kept_and_gone_back_to(template: Machine) -> None:
    rest.save(template)
    written(template)
    rest.finish(template)
    assert template.file(rest.MEMORY).read_bytes() == b"memory"
    assert model.get("m1").ready
    assert below(template) == rest.DISK
    frozen = template.file(rest.DISK).read_bytes()
    subprocess.run(["qemu-io", "-c", "write 0 64k", template.disk], check=True, capture_output=True)
    assert template.file(rest.DISK).read_bytes() == frozen
    used = template.disk.stat().st_size
    rest.back(template)
    assert template.disk.stat().st_size < used


@pytest.mark.parametrize("at", ["rename", "layer"])
def test_a_point_that_was_cut_off(template: Machine, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Before it appears there is none, and the machine is as before; behind that it is finished later."""

    class Cut(Exception):
        pass

    def cut(*_: object) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        if at == "rename":
            patch.setattr(Path, "rename", cut)
        else:
            patch.setattr(disk, "layer", cut)
        with pytest.raises(Cut):
            rest.save(template)
    if at == "rename":
        assert below(template) == disk.BASE
        assert not model.get("m1").ready
        template.file(rest.DRAFT).write_bytes(b"memory")
        rest.save(template)
    written(template)
    rest.finish(template)
    assert below(template) == rest.DISK
    assert model.get("m1").ready


def test_where_the_memory_lies(template: Machine) -> None:
    words = " ".join(argv.build(template))
    assert f"mem-path={rest.DRAFT},share=on" in words
    template.ready = 1
    assert "memory-backend-ram" in " ".join(argv.build(template))
    words = " ".join(argv.build(template, incoming=True))
    assert f"mem-path={rest.MEMORY},share=off" in words, "what one writes must not be another's memory"
    assert "-incoming defer" in words
    assert "balloon" not in words


def test_a_machine_of_an_older_klab(template: Machine) -> None:
    template.hardware = 3
    assert "memory-backend" not in " ".join(argv.build(template))
    with pytest.raises(KlabError, match="was made by an older klab"):
        lifecycle.reset(template, 5)


def seat_of(template: Machine, name: str = "s1", **more: object) -> Machine:
    rest.save(template)
    written(template)
    rest.finish(template)
    return seats.create(name, template, Seat(**more))


def test_a_seat_shares_and_is_its_own(template: Machine, tmp_path: Path) -> None:
    host = keys.pair(tmp_path / "host", "s1", "s1")
    made = seat_of(template, authorized=("ssh-ed25519 AAAA a",), host_key=host, internet=False)
    for name in ("memory", "state", "disk.qcow2"):
        assert made.file(f"ready/{name}").samefile(template.file(f"ready/{name}"))
    assert made.uuid != template.uuid
    assert {made.ssh_port, made.gdb_port}.isdisjoint({template.ssh_port, template.gdb_port})
    assert made.file(keys.HOST).read_text() == host.read_text()
    assert made.file(keys.HOST).stat().st_mode & 0o777 == 0o600
    words = " ".join(argv.build(made, incoming=True))
    assert "restrict=on" in words
    assert f"mac={identity.mac(made)}" in words
    lifecycle.destroy("m1")
    assert made.file(rest.MEMORY).read_bytes() == b"memory", "it goes with the template"


def test_no_seat_of_a_template_that_is_not_ready(template: Machine) -> None:
    with pytest.raises(KlabError, match="has no ready point"):
        seats.create("s1", template, Seat())
    assert not model.find("s1")


def test_who_a_seat_is_told_to_be(template: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script, run by bash in a root of its own, with stand-ins for what needs a template."""
    made = seat_of(template, authorized=("ssh-ed25519 AAAA it's a key",))
    root = tmp_path / "root"
    for folder in ("etc/ssh", "proc/sys/kernel", "proc/sys/net/ipv4/conf/eth0", "home/student/.ssh",
                   "var/lib/systemd", "dev", "bin"):  # fmt: skip
        (root / folder).mkdir(parents=True)
    for name in ("ip", "systemctl"):
        (root / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{root}/said\n')
        (root / "bin" / name).chmod(0o755)
    text = identity.script(made).replace(identity.RESEED, "true")
    for place in ("/etc/", "/proc/", "/home/", "/var/"):
        text = text.replace(f">{place}", f">{root}{place}")
    env = {"PATH": f"{root}/bin:/usr/bin:/bin"}
    subprocess.run(["bash", "-ec", text], check=True, env=env)
    assert (root / "etc/hostname").read_text() == "s1\n"
    assert (root / "etc/machine-id").read_text() == f"{made.uuid.replace('-', '')}\n"
    assert (root / "etc/ssh/ssh_host_ed25519_key").read_text() == made.file(keys.HOST).read_text()
    allowed = (root / "home/student/.ssh/authorized_keys").read_text().splitlines()
    assert allowed[1:] == ["ssh-ed25519 AAAA it's a key"]
    assert (root / "said").read_text().splitlines()[-1] == "systemctl restart ssh"


def test_two_seats_are_told_apart(template: Machine) -> None:
    first = seat_of(template)
    second = seats.create("s2", template, Seat())
    for of in (identity.mac, identity.machine_id, identity.script):
        assert of(first) != of(second)
    assert identity.script(first) != identity.script(first), "random numbers are others each time"


def test_waking_up(template: Machine) -> None:
    """What the guest's service reads, and how its answer is told from others."""
    wake.prepare(template)
    heard: list[str] = []

    def guest() -> None:
        with template.file(wake.FIFO).open() as line:
            heard.extend(line.readline().split())
        with template.file(wake.ANSWERS).open("a") as back:
            back.write(f"1 0\n{heard[1]} 7\n")

    hearing = threading.Thread(target=guest)
    hearing.start()
    while True:  # until it listens
        number = wake.tell(template, "echo 'a b'")
        if (said := wake.answer(template, number, 0.2)) is not None:
            break
    hearing.join()
    assert said == "7"
    assert base64.b64decode(heard[2]) == b"echo 'a b'"
    assert wake.answer(template, "2", 0) is None


def test_a_seat_that_was_never_itself_begins_anew(template: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    made = seat_of(template)
    did: list[str] = []
    monkeypatch.setattr(lifecycle, "reset", lambda m, deadline_s: did.append("reset"))
    monkeypatch.setattr(lifecycle, "start", lambda m, deadline_s: did.append("start"))
    seats.up(made, 5)
    seats.up(replace(made, begun=True), 5)
    assert did == ["reset", "start"]
