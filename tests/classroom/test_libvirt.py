# SPDX-License-Identifier: GPL-3.0-or-later
"""A class whose machines are libvirt's domains: the same as any other, and the host's own tools see them."""

import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from classroom import libvirtd, machines
from classroom.libvirtd import Daemon
from classroom.machines import LAB, Room
from klab.classroom import reach
from klab.machine import domain, libvirt, model, process
from klab.machine.model import Machine

NAME = "virt"
SPEAKS_S = 20
USER = 1000  # whose own daemon is tried: root has none


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with libvirtd.running(tmp_path_factory.mktemp("libvirt")) as made:
        yield made


@pytest.fixture(scope="module")
def room(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    hypervisor = '{provider: libvirt, uri: "qemu:///system"}'
    with machines.opened(tmp_path_factory.mktemp("class"), NAME, hypervisor, daemon.inside) as made:
        yield made


def machine(seat: str) -> Machine:
    return model.get(f"{NAME}-{seat}")


def test_each_is_itself_and_a_domain_that_comes_up_with_the_host(room: Room, daemon: Daemon) -> None:
    facts = [room.who(seat) for seat in ("a", "b")]
    for name in machines.FACTS:
        assert facts[0][name] != facts[1][name], name
    assert [one["host name"] for one in facts] == [f"{NAME}-a", f"{NAME}-b"]
    domains = {f"klab-{NAME}-a", f"klab-{NAME}-b"}
    assert set(daemon.virsh("list", "--name", "--autostart").split()) == domains
    assert set(daemon.virsh("list", "--name", "--state-running").split()) == domains
    assert abs(float(room.run("a", "date +%s")) - time.time()) < 10


def test_its_size_is_limited_and_what_is_not_is_told(room: Room, daemon: Daemon) -> None:
    name = f"klab-{NAME}-a"
    said = room.vm("seat", "--name", f"{NAME}-a", "--like", f"{NAME}-template")
    assert not said["changed"]
    limits = machine("a").limits
    memory = re.findall(r"hard_limit +: (\S+)", daemon.virsh("memtune", name))[0]
    assert (memory != "unlimited") == ("memory" in limits)
    quota = re.findall(r"global_quota +: (\S+)", daemon.virsh("schedinfo", name))[0]
    assert (quota == str(domain.PERIOD_US)) == ("cpus" in limits)
    assert (limits == libvirt.LIMITS[0]) != any("limited by libvirt" in note for note in said["notes"])


def test_its_console_is_virsh_s(room: Room, daemon: Daemon) -> None:
    argv = [*daemon.inside, "virsh", "-c", "qemu:///system", "console", "--force", f"klab-{NAME}-a"]
    terminal, theirs = os.openpty()
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs) as console:
        heard, until = b"", time.monotonic() + SPEAKS_S
        while b"login:" not in heard and time.monotonic() < until:
            os.write(terminal, b"\r")
            if select.select([terminal], [], [], 1)[0]:
                heard += os.read(terminal, 4096)
        until = time.monotonic() + SPEAKS_S
        while console.poll() is None and time.monotonic() < until:
            os.write(terminal, b"\x1d")  # its way out, which it knows only as the first of what it reads
            if select.select([terminal], [], [], 0.5)[0]:
                heard += os.read(terminal, 4096)
        left = console.poll() is not None
        console.kill()
    os.close(terminal)
    os.close(theirs)
    assert (left, b"login:" in heard) == (True, True), heard[-500:]
    assert "login:" in machine("a").console.read_text()


def test_a_seat_reaches_nobody_and_only_the_loopback_reaches_it(room: Room) -> None:
    for port in (machine("b").ssh_port, machine("b").gdb_port):
        said = room.run("a", f"sudo timeout 5 bash -c ': </dev/tcp/10.0.2.2/{port}' 2>&1; echo $?")
        assert said.splitlines()[-1] != "0", port
    for place in ("10.0.2.3/53", "192.0.2.1/80"):
        said = room.run("a", f"sudo timeout 5 bash -c ': </dev/tcp/{place}' 2>&1; echo $?")
        assert said.splitlines()[-1] != "0", place
    pid = process.pid_of(machine("a"))
    said = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    listening = [line.split()[3] for line in said.splitlines() if f"pid={pid}," in line]
    assert sorted(listening) == sorted(
        f"127.0.0.1:{port}" for port in (machine("a").ssh_port, machine("a").gdb_port)
    )


def test_the_student_s_klab_is_answered(room: Room) -> None:
    """From the class's own state, although libvirt's QEMU has a home of its own."""
    assert "lkm-lifecycle" in room.run("a", "klab list")


def test_one_is_put_back(room: Room) -> None:
    who = room.who("a")
    room.run("a", f"echo mine >~/labs/{LAB}/mine; sudo sh -c 'echo broken >/etc/nsswitch.conf'")
    assert room.klab("restore", "a")["labs"] == [LAB]
    again = room.who("a")
    assert {name for name in who if who[name] != again[name]} == {"random bytes"}
    assert "passwd" in room.run("a", "cat /etc/nsswitch.conf")
    assert room.run("a", f"cat ~/labs/{LAB}/mine") == "mine\n"


def test_a_night_in_between_keeps_what_runs(room: Room, daemon: Daemon) -> None:
    running = room.run("b", "nohup sleep 100000 >/dev/null 2>&1 & echo $!").strip()
    room.vm("stop", "--name", f"{NAME}-b")
    assert f"klab-{NAME}-b" in daemon.virsh("list", "--all", "--name", "--with-managed-save")
    assert f"klab-{NAME}-b" not in daemon.virsh("list", "--all", "--name", "--autostart")
    room.play("classroom_open", "--limit", f"{NAME}-b")
    assert room.run("b", f"cat /proc/{running}/comm") == "sleep\n"
    assert abs(float(room.run("b", "date +%s")) - time.time()) < 10


def test_the_host_comes_up_again(room: Room, daemon: Daemon) -> None:
    """Without klab: each boots from its own disk, as itself."""
    who = room.who("a")
    room.run("a", "echo work >~/work; sync")
    for seat in ("a", "b"):
        os.kill(process.pid_of(machine(seat)) or 0, signal.SIGKILL)
    daemon.reboot()
    room.inside = tuple(daemon.inside)
    assert len(daemon.virsh("list", "--name", "--state-running").split()) == 2
    room.play("classroom_open")
    assert room.run("a", "cat ~/work") == "work\n"
    again = room.who("a")
    assert {name for name in who if who[name] != again[name]} == {"random bytes"}


def test_without_a_daemon_nothing_is_made(room: Room) -> None:
    before = model.everyone()
    away = Room(room.folder)
    words = ["seat", "--name", f"{NAME}-c", "--like", f"{NAME}-template", "--provider", "libvirt"]
    said = away.vm(*words, "--uri", "qemu:///system", code=1)
    assert "libvirt-sock" in said["msg"]
    assert "systemctl start libvirtd" in said["msg"]
    assert "systemctl start libvirtd" in away.play("classroom_open", code=2)
    assert model.everyone() == before


def test_another_qemu_is_told(room: Room, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that was made where QEMU knows a machine type which this one does not."""
    template = model.get(f"{NAME}-template")
    draft = template.file("machine.json").read_text()
    try:
        template.machine_type = "pc-q35-99.0"
        template.save()
        words = ["seat", "--name", f"{NAME}-c", "--like", template.name, "--provider", "libvirt"]
        said = room.vm(*words, code=1)
        assert "another QEMU" in said["msg"]
        room.vm("destroy", "--name", f"{NAME}-c", "--yes")
    finally:
        template.file("machine.json").write_text(draft)
    assert f"klab-{NAME}-c" not in daemon.virsh("list", "--all", "--name")


@pytest.fixture
def theirs() -> Iterator[list[str]]:
    """Words before a command of a user who is not root, with a daemon of their own."""
    cache = os.environ.get("KLAB_CACHE", str(Path.home() / ".cache/klab"))
    names = ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR")
    with tempfile.TemporaryDirectory(prefix="klab-") as place:  # short: sockets lie in it
        folders = {name: Path(place, name[-9:]) for name in names}
        for folder in folders.values():
            folder.mkdir(mode=0o700)
        yield [
            *("unshare", "--user", f"--map-user={USER}", f"--map-group={USER}"),
            *("env", f"KLAB_CACHE={cache}", *(f"{name}={folder}" for name, folder in folders.items())),
        ]
        pid = folders["XDG_RUNTIME_DIR"] / "libvirt/libvirtd.pid"
        libvirtd.end(int(pid.read_text()))


def test_a_user_s_own_daemon_needs_nobody(room: Room, theirs: list[str]) -> None:
    user = Room(room.folder, theirs)
    name = f"{NAME}-own"
    teacher = reach.client_key(room.class_).with_suffix(".pub").read_text().strip()
    words = ["--name", name, "--like", f"{NAME}-template", "--provider", "libvirt", "--no-internet"]
    said = user.vm("seat", *words, "--authorized", teacher)
    assert any("no control groups" in note for note in said["notes"])
    argv = ["ssh", "-F", str(model.get(name).ssh_config), name, "hostname"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == f"{name}\n"
    user.vm("destroy", "--name", name, "--yes")
    assert user.say("virsh", "--quiet", "-c", "qemu:///session", "list", "--all", "--name").strip() == ""


def test_the_class_is_closed_and_nothing_is_left(room: Room, daemon: Daemon) -> None:
    uuids = [machine(seat).uuid for seat in ("a", "b")]
    room.play("classroom_close")
    assert model.everyone() == []
    assert daemon.virsh("list", "--all", "--name").strip() == ""
    assert [process.find(uuid) for uuid in uuids] == [None, None]
    assert not list((daemon.folder / "lib/qemu/save").iterdir())
    assert not [path for path in libvirtd.CGROUPS.glob(f"*/machine/*klab-{NAME}-*") if path.is_dir()]
