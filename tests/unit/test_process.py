# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of machines: stale pid files, starts that fail, waiting that is in vain.

Real processes: a paused QEMU without a disk where one is needed, shells elsewhere.
"""

import os
import socket
import subprocess
import sys
import threading
import time
import uuid

import pytest

from klab import accel
from klab.errors import KlabError
from klab.machine import console, knock, lifecycle, model, ports, process, qmp, ssh
from klab.machine.model import Machine


@pytest.fixture
def guest(tmp_path, monkeypatch) -> Machine:
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    made = Machine(
        name="m1",
        uuid=str(uuid.uuid4()),
        machine_type="q35",
        memory=64,
        cpus=1,
        ssh_port=ports.pick(23000, set()),
        gdb_port=ports.pick(24000, set()),
        accel="tcg",
        accel_reason="a test",
    )
    made.dir.mkdir(parents=True)
    made.save()
    yield made
    process.kill(made)


def paused(machine: Machine) -> list[str]:
    """A QEMU that is this machine to all who look, and does nothing."""
    return [
        *[accel.QEMU, "-S", "-nodefaults", "-display", "none", "-m", "64", "-uuid", machine.uuid],
        *["-qmp", f"unix:{machine.socket('qmp.sock')},server=on,wait=off", "-pidfile", "qemu.pid"],
    ]


def fails(wait, *parts: str) -> KlabError:
    with pytest.raises(KlabError) as raised:
        wait()
    for part in parts:
        assert part in str(raised.value)
    return raised.value


def test_launch_survives_us_and_ends_by_name(guest):
    pid = process.launch(guest, paused(guest))
    assert process.pid_of(guest) == pid
    assert os.getsid(pid) == pid != os.getsid(0)
    assert qmp.command(guest, "query-status")["running"] is False
    qmp.leave(guest)
    assert process.wait_gone(guest, 10)
    assert process.pid_of(guest) is None


def test_lost_pid_file_is_found_again(guest):
    pid = process.launch(guest, paused(guest))
    guest.pid_file.unlink(missing_ok=True)
    assert process.pid_of(guest) == pid
    assert int(guest.pid_file.read_text()) == pid


def test_pid_of_someone_else_is_stale(guest):
    with subprocess.Popen(["sleep", "60"]) as other:
        guest.pid_file.write_text(f"{other.pid}\n")
        assert process.pid_of(guest) is None
        assert not guest.pid_file.exists()
        process.kill(guest)
        assert other.poll() is None  # and it was left alone
        other.kill()


@pytest.mark.parametrize("text", ["", "no number", "999999999"])
def test_useless_pid_file(guest, text):
    guest.pid_file.write_text(text)
    assert process.pid_of(guest) is None
    assert not guest.pid_file.exists()


def test_zombie_is_not_alive(guest):
    argv = [
        sys.executable,
        "-c",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "qemu",
        guest.uuid,
    ]
    dead = subprocess.Popen(argv)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    assert not process.is_ours(dead.pid, guest.uuid)
    dead.wait()


def test_start_that_fails_says_why_and_leaves_nothing(guest):
    error = fails(
        lambda: process.launch(guest, [*paused(guest), "-drive", "file=/nonexistent/disk"]),
        "ended at once",
        "/nonexistent/disk",
    )
    assert error.machine == "m1"
    assert error.log == str(guest.log)
    assert process.pid_of(guest) is None


def test_missing_part_is_named(guest):
    fails(lambda: lifecycle.start(guest, deadline_s=5, cold=True), "base.raw is gone", "destroy --name m1")


def test_monitor_that_is_gone(guest):
    fails(lambda: qmp.command(guest, "query-status"), "monitor cannot be reached")


def test_dead_qemu_is_noticed_while_waiting(guest):
    guest.log.write_text("qemu: out of something\n")
    began = time.monotonic()
    fails(lambda: ssh.wait(guest, 60), "QEMU is gone", "out of something")
    assert time.monotonic() - began < 5


def test_panic_ends_the_wait_at_once(guest):
    process.launch(guest, paused(guest))
    console.mark(guest.console, console.BOOT)

    def panic() -> None:
        time.sleep(0.5)
        with guest.console.open("a") as stream:
            stream.write("[    1.5] VFS: Unable to mount root fs on unknown-block(0,0)\n")

    threading.Thread(target=panic).start()
    began = time.monotonic()
    error = fails(lambda: ssh.wait(guest, 60), "no root file system", "last on the console")
    assert time.monotonic() - began < 5
    assert error.log == str(guest.console)
    assert error.mend


def test_a_panic_of_an_earlier_boot_is_past(guest):
    process.launch(guest, paused(guest))
    console.mark(guest.console, console.BOOT)
    with guest.console.open("a") as stream:
        stream.write("[    1.5] Kernel panic - not syncing: once\n")
    console.mark(guest.console, console.BOOT)
    fails(lambda: ssh.wait(guest, 1), "no answer over ssh within 1 s")


def test_two_machines_of_one_name(guest):
    with model.locked("m1"):
        argv = [sys.executable, "-m", "klab", "vm", "stop", "--name", "m1"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"another klab run (pid {os.getpid()})" in done.stderr


def listener(*answers: bytes):
    """A server that greets each caller with the next answer; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            link, _ = server.accept()
            if answer:
                link.sendall(answer)
                time.sleep(0.2)
            link.close()

    threading.Thread(target=serve, daemon=True).start()
    return server, server.getsockname()[1]


def test_a_connection_alone_is_no_greeting():
    server, port = listener(b"", b"SSH-2.0-x\r\n")
    with server:
        caller = knock.Knock(port)
        assert not caller.greeted(0.3)
        assert caller.greeted(1)


def test_silence_is_no_greeting():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not knock.greets(silent.getsockname()[1], 0.2)


@pytest.fixture
def fake_ssh(tmp_path, monkeypatch):
    """An ssh that does what a shell script says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def acts(script: str) -> None:
        (folder / "ssh").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "ssh").chmod(0o755)

    return acts


def test_clock_is_set_from_an_answer_after_the_login(guest, fake_ssh, tmp_path):
    """The time that the guest gets is that of the answer, however long the login took."""
    fake_ssh(f"sleep 1; echo 1000; read -r now; echo $now >{tmp_path}/got")
    assert ssh._login(guest).code == 0
    assert abs(float((tmp_path / "got").read_text()) - time.time()) < 1


def test_right_clock_is_left_alone(guest, fake_ssh, tmp_path):
    fake_ssh(f"date +%s; read -r now; echo x$now >{tmp_path}/got")
    assert ssh._login(guest).code == 0
    assert (tmp_path / "got").read_text() == "x\n"


def test_ssh_that_fails_is_told_from_a_command_that_fails(guest, fake_ssh):
    fake_ssh("exit 3")
    assert ssh.run(guest, "false").code == 3
    fake_ssh("echo no route >&2; exit 255")
    with pytest.raises(ssh.LoginFailed, match="no route"):
        ssh.run(guest, "true")


def test_a_command_that_hangs_is_ended(guest, fake_ssh):
    fake_ssh("exec sleep 60")
    fails(lambda: ssh.run(guest, "true", timeout_s=0.5), "did not end within 0.5 s")


def test_a_wrong_key_is_final(guest, fake_ssh):
    process.launch(guest, paused(guest))
    fake_ssh("echo 'student@x: Permission denied (publickey).' >&2; exit 255")
    began = time.monotonic()
    fails(lambda: ssh.wait(guest, 60, listening=True), "Permission denied")
    assert time.monotonic() - began < 5


def test_a_machine_that_stands_still_goes_on(guest):
    """As a `stop` that was cut off leaves it: paused, with its memory saved."""
    process.launch(guest, paused(guest))
    guest.stopped = True
    assert lifecycle._go_on(guest)
    assert not model.get("m1").stopped
    assert not lifecycle._go_on(guest)


def test_a_start_that_fails_keeps_what_stop_kept(guest):
    guest.stopped = True
    error = fails(lambda: lifecycle.start(guest, deadline_s=5), "base.raw is gone")
    assert "--cold" in error.mend
    assert model.get("m1").stopped


def test_records_of_older_klabs_are_read(guest):
    path = guest.file("machine.json")
    path.write_text(path.read_text().replace('  "stopped": false,\n', ""))
    assert "stopped" not in path.read_text()
    assert model.get("m1") == guest
