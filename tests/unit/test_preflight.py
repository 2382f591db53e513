# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight asks of a host, and that each red line has a mend."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from klab import mirror, needs, preflight, store
from klab.cli import doctor
from klab.debuggee import proved


@pytest.fixture(autouse=True)
def _own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))


def test_tools_are_run_not_looked_for(tmp_path):
    broken = tmp_path / "tool"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    check = preflight.tool({"package": "tool", "prove": [str(broken)], "why": "a test"})
    assert check.status == preflight.BAD
    assert "apt-get install tool" in check.mend


def test_missing_tool():
    check = preflight.tool({"package": "nope", "prove": ["/nonexistent/tool"], "why": "a test"})
    assert check.status == preflight.BAD


def test_an_empty_cache_needs_everything_and_a_full_one_nothing():
    wanted = needs.of(needs.STAGES, "lab", "lab1", 2048)
    assert [what.split()[0] for what in wanted.make] == ["build", "source", "kernel", "image", "machine"]
    assert wanted.network
    assert not needs.of((), "lab", "lab1", 2048).make


def test_a_machine_alone_needs_no_network():
    wanted = needs.of(("machine",), "lab", "lab1", 4096)
    assert wanted.memory_mib > 4096
    assert not wanted.network
    assert preflight.archive(wanted) is None


def test_needs_of_one_file_system_add_up(tmp_path):
    both = needs.by_filesystem({tmp_path / "a": 1.0, tmp_path / "b" / "c": 2.0})
    assert list(both.values()) == [3.0]


def test_too_little_disk(tmp_path):
    wanted = needs.Needs(disk_gib={tmp_path / "not" / "yet": 1e6})
    (check,) = preflight.disk(wanted)
    assert check.status == preflight.BAD
    assert "free" in check.mend


def test_a_really_small_disk(tmp_path):
    """A file system of 8 MiB, where this user may mount one."""
    probe = (
        f"mount -t tmpfs -o size=8m small {tmp_path} && {sys.executable} -c "
        f"'from klab import needs; from pathlib import Path; print(needs.free_gib(Path(\"{tmp_path}/x\")))'"
    )
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", probe]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot tell: no mount in a user namespace here ({done.stderr.strip()})")
    assert 0 < float(done.stdout) < 0.01


def test_too_little_memory():
    check = preflight.memory(needs.Needs(memory_mib=1 << 40))
    assert check.status == preflight.BAD
    assert "vm_memory" in check.mend


def test_occupied_port_names_its_holder():
    with socket.create_server(("127.0.0.1", 0)) as sitting:
        port = sitting.getsockname()[1]
        check = preflight.ssh_port(preflight.Run(ssh_port=port))
        assert check.status == preflight.BAD
        assert f"pid {os.getpid()}" in check.seen
    assert preflight.ssh_port(preflight.Run(ssh_port=port)).status == preflight.GOOD
    assert preflight.ssh_port(preflight.Run()) is None


def test_unknown_flavour_is_red():
    check, _ = preflight.plan(preflight.Run(flavour="nope"))
    assert check.status == preflight.BAD
    assert "nope" in check.seen


@pytest.mark.parametrize(("versions", "status"), [({"crash": "8.0.6-1"}, "ok"), ({"crash": "9.1-1"}, "note")])
def test_tools_that_nobody_tried_on_dumps_of_this_kernel(monkeypatch, versions, status):
    root = store.Entry("roots", "0" * 64, Path("/"), {"versions": versions})
    monkeypatch.setattr(proved.root, "find", lambda name: root)
    check = preflight.dump_tools(preflight.Run())
    assert check.status == status
    assert ("8.0.6, here is 9.1" in check.seen) == (status == "note")


def test_unreachable_archive(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("KLAB_DEBIAN_MIRROR", f"http://127.0.0.1:{port}/debian")
    check = preflight.archive(needs.Needs(network=True))
    assert check.status == preflight.BAD
    assert str(port) in check.seen
    assert "KLAB_DEBIAN_MIRROR" in check.mend


def test_keyring_without_the_suite(tmp_path, monkeypatch):
    old = tmp_path / "old.gpg"
    old.write_bytes(b"Debian Archive Automatic Signing Key (10/buster)")
    monkeypatch.setattr(mirror, "KEYRINGS", [old])
    assert preflight.keyring().status == preflight.BAD
    old.write_bytes(b"Debian Archive Automatic Signing Key (13/trixie)")
    assert preflight.keyring().status == preflight.GOOD


def klab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "klab", *words], capture_output=True, text=True, check=False)


def test_doctor_ends_red_with_status_1():
    done = klab("doctor", "--stage", "machine", "--flavour", "nope", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 1
    assert [line for line in said["bad"] if "nope" in line]
    assert all("\n  do: " in line for line in said["bad"])


def test_doctor_shows_a_table():
    done = klab("doctor", "--stage", "machine")
    assert done.returncode == 0, done.stdout
    assert "accelerator" in done.stdout
    assert done.stdout.rstrip().endswith("this host can do it")


def test_table_keeps_brackets_of_what_was_seen():
    assert "[bold]" in doctor.render([preflight.Check("x", preflight.GOOD, "[bold] is text")])


def test_existing_climbs(tmp_path):
    assert needs.existing(tmp_path / "a" / "b") == tmp_path
    assert needs.existing(Path("/")) == Path("/")
