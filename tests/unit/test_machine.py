# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine's record, ports, keys and command line."""

import base64
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from klab.errors import KlabError
from klab.machine import argv, keys, model, ports
from klab.machine.model import Machine


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))


def machine(name="m1", **changes) -> Machine:
    fields = {
        "name": name,
        "uuid": "7a6fa3a6-6f0a-4b3e-9d1f-3f2a4d0f5c11",
        "machine_type": "pc-q35-7.2",
        "memory": 512,
        "cpus": 1,
        "ssh_port": 2299,
        "gdb_port": 1299,
        "accel": "tcg",
        "accel_reason": "a test",
        "kernel": {"digest": "k", "release": "6.12", "cmdline": "dma_debug=off", "flavour": "lab"},
        "image": {"digest": "i"},
    }
    made = Machine(**{**fields, **changes})
    made.dir.mkdir(parents=True)
    return made


def test_record_survives():
    made = machine()
    made.ready = 5
    made.save()
    assert model.get("m1") == made
    assert [m.name for m in model.everyone()] == ["m1"]


def test_unknown_machine_names_the_known():
    machine().save()
    with pytest.raises(KlabError, match=r"there is no machine nope \(there are: m1\)"):
        model.get("nope")


def test_broken_record_is_an_error_with_its_file():
    made = machine()
    made.file("machine.json").write_text('{"name": "m1"')
    with pytest.raises(KlabError) as raised:
        model.get("m1")
    assert raised.value.log == str(made.file("machine.json"))
    assert "destroy" in raised.value.mend


@pytest.mark.parametrize("name", ["", "-a", "Lab1", "../x", "a/b", "a" * 32, "1a", "a b"])
def test_names_that_are_no_host_names(name):
    with pytest.raises(KlabError):
        model.find(name)


def test_two_runs_at_once():
    holder = (
        "import sys; from klab.machine import model\n"
        "with model.locked('m1'): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(KlabError, match=f"pid {other.pid}"), model.locked("m1"):
            pass
        other.stdin.close()
        other.wait()
    with model.locked("m1"):  # the lock died with its holder
        pass


def test_long_folder_gets_short_sockets(tmp_path, monkeypatch):
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / ("deep" * 20)))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    path = machine().socket("qmp.sock")
    assert path.parent == tmp_path / "t" / f"klab-{os.getuid()}"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.parent.chmod(0o777)
    with pytest.raises(KlabError, match="open to others"):
        model.get("m1") if model.find("m1") else machine("m2").socket("qmp.sock")


def test_occupied_port_names_its_holder():
    with socket.socket() as sitting:
        sitting.bind(("127.0.0.1", 0))
        sitting.listen()
        port = sitting.getsockname()[1]
        assert not ports.free(port)
        with pytest.raises(KlabError, match=f"held by pid {os.getpid()} ") as raised:
            ports.require(port, "ssh to m1", "m1")
        assert raised.value.machine == "m1"
        assert ports.pick(port, set()) > port
    assert ports.free(port)


def test_claimed_ports_are_left_alone():
    first = ports.pick(20000, set())
    assert ports.pick(first, {first}) > first


def test_command_line_is_whole_and_local():
    made = machine()
    keys.write(made)
    words = argv.build(made)
    listening = [w for w in words if "hostfwd" in w or w.startswith("tcp:")]
    assert listening
    assert all("127.0.0.1" in word for word in listening)
    line = words[words.index("-append") + 1].split()
    assert line[0] == "dma_debug=off"
    assert {"root=/dev/vda", "console=ttyS0", "net.ifnames=0"} <= set(line)
    assert "ip=10.0.2.15::10.0.2.2:255.255.255.0:m1:eth0:off" in line
    assert "microvm" not in " ".join(words)
    assert made.uuid in words
    assert argv.build(made, loadvm="ready")[:-2] == words


def test_no_secret_on_the_command_line():
    made = machine()
    keys.write(made)
    secret = made.file(keys.HOST).read_text().splitlines()[1]
    assert secret not in " ".join(argv.build(made))
    assert secret not in "".join(p.read_text() for p in [made.ssh_config, made.file("known_hosts")])


def test_mitigations_are_left_alone_where_they_protect():
    assert "mitigations=off" in argv.cmdline(machine())
    assert "mitigations=off" not in argv.cmdline(machine("m2", accel="kvm"))


def test_keys_stay_and_match():
    made = machine()
    keys.write(made)
    first = made.file(keys.CLIENT).read_text()
    keys.write(made)
    assert made.file(keys.CLIENT).read_text() == first
    host = made.file(f"{keys.HOST}.pub").read_text().split()[1]
    assert made.file("known_hosts").read_text().split() == ["m1", "ssh-ed25519", host]
    for path in [made.file(keys.CLIENT), made.file(keys.HOST), *made.file("credentials").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_credentials_are_tmpfiles_lines():
    made = machine()
    keys.write(made)
    lines = made.file("credentials/tmpfiles.extra").read_text().splitlines()
    written = {line.split()[1]: line.split() for line in lines}
    assert base64.b64decode(written["/etc/hostname"][6]) == b"m1\n"
    key = written["/etc/ssh/ssh_host_ed25519_key"]
    assert key[0] == "f+~"
    assert key[2:5] == ["0600", "root", "root"]
    assert base64.b64decode(key[6]) == made.file(keys.HOST).read_bytes()
    allowed = written["/home/student/.ssh/authorized_keys"]
    assert base64.b64decode(allowed[6]) == made.file(f"{keys.CLIENT}.pub").read_bytes()
    assert made.file("credentials/system.hostname").read_text() == "m1"


def test_ssh_reads_our_config(monkeypatch):
    with TemporaryDirectory(prefix="k") as short:  # a socket's path must not be long
        monkeypatch.setenv("KLAB_STATE", short)
        made = machine()
        keys.write(made)
        said = subprocess.run(
            ["ssh", "-G", "-F", made.ssh_config, "m1"], capture_output=True, text=True, check=True
        )
        options = dict(line.split(" ", 1) for line in said.stdout.splitlines() if " " in line)
        assert options["hostname"] == "127.0.0.1"
        assert options["port"] == "2299"
        assert options["user"] == "student"
        assert options["stricthostkeychecking"] in ("true", "yes")
        assert options["passwordauthentication"] == "no"
        assert Path(options["controlpath"]).parent == made.dir


def test_record_is_json_for_others():
    made = machine()
    made.save()
    assert json.loads(made.file("machine.json").read_text())["kernel"]["digest"] == "k"
