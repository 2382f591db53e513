# SPDX-License-Identifier: GPL-3.0-or-later
"""The class as Ansible sees it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import classes
from fixtures.rosters import DEFINITION, key, rows, write
from klab.classroom import definition, inventory
from klab.paths import repo_dir

ROWS = [*rows(2), f"ada,Ada {{{{ 7 * 6 }}}},{key('ada')},pc07,group_a,"]
LOCAL = DEFINITION.replace("user: klab,", "user: klab, port: 2222,").replace(
    "hypervisors:", "hypervisors:\n  localhost:\n  virt: {provider: libvirt}"
)


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    return write(tmp_path / "class", ROWS, definition=LOCAL)


def ask(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """ansible-inventory, as in the checkout."""
    program = Path(sys.executable).with_name("ansible-inventory")
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(repo_dir() / "ansible.cfg"),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
    }
    argv = [program, "-i", folder, *words]
    return subprocess.run(
        argv, cwd=repo_dir(), env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_hosts_and_groups(own):
    class_ = definition.load(own)
    found = {host.name: host for host in inventory.hosts(class_)}
    seats = ["k26-student01", "k26-student02", "k26-pc07"]
    assert [*found] == ["localhost", "virt", "hyper1", "hyper2", *seats]
    assert found["k26-pc07"].groups == ("existing_seats", "group_a")
    assert inventory.groups(class_)["seats"] == ("virtual_seats", "existing_seats")
    assert inventory.groups(class_)["lab_machines"] == ("seats",)
    assert "group_a" in inventory.groups(class_)


def test_those_that_get_the_kernel_are_a_group():
    class_ = classes.of(
        *(replace(classes.existing(n), kernel=kernel) for n, kernel in ((1, "own"), (2, "boot")))
    )
    found = {host.name: host.groups for host in inventory.hosts(class_)}
    assert ("kernel_seats" in found["c1-s01"], "kernel_seats" in found["c1-s02"]) == (False, True)
    groups = inventory.groups(class_)
    assert groups["kernel_seats"] == ()
    assert (groups["play_kernel_seats"], groups["play_existing_seats"]) == (("seats",), ("existing_seats",))
    assert groups["play_virtual_seats"] == ("virtual_seats",)


def test_variables_of_a_virtual_seat(own):
    class_ = definition.load(own)
    (seat,) = [host for host in inventory.hosts(class_) if host.name == "k26-student01"]
    assert seat.variables["ansible_ssh_args"] == f"-F {class_.state}/seats/k26-student01/ssh_config"
    assert seat.variables["lab_machines_hypervisor"] in {one.name for one in class_.hypervisors}
    assert (seat.variables["vm_memory"], seat.variables["vm_cpus"]) == (512, 1)
    assert seat.variables["klab_seat"]["student"]["keys"] == (key(1),)


def test_variables_of_the_others(own):
    found = {host.name: host.variables for host in inventory.hosts(definition.load(own))}
    there = found["k26-pc07"]
    assert (there["ansible_host"], there["ansible_port"], there["ansible_user"]) == (
        "192.0.2.57",
        22,
        "debian",
    )
    assert "lab_machines_hypervisor" not in there
    assert (found["hyper1"]["ansible_host"], found["hyper1"]["ansible_user"]) == ("192.0.2.10", "klab")
    assert "ansible_user" not in found["hyper2"]
    assert (found["hyper1"]["ansible_port"], found["hyper2"]["ansible_port"]) == (2222, 22)
    assert found["virt"]["ansible_connection"] == "local"
    assert found["virt"]["ansible_python_interpreter"] == sys.executable
    assert found["virt"]["klab_hypervisor"]["provider"] == "libvirt"


def test_ansible_reads_it(own):
    done = ask(own, "--list", "--export")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    body = json.loads(done.stdout)
    assert body["virtual_seats"]["hosts"] == ["k26-student01", "k26-student02"]
    assert body["existing_seats"]["hosts"] == ["k26-pc07"]
    assert body["lab_machines"]["children"] == ["seats"]
    assert body["hypervisors"]["hosts"] == ["localhost", "virt", "hyper1", "hyper2"]
    assert body["group_a"]["hosts"] == ["k26-pc07"]
    assert body["control"]["hosts"] == body["builders"]["hosts"] == ["localhost"]
    assert "Ada {{ 7 * 6 }}" in done.stdout  # a name is no template


def test_a_roster_that_is_refused_is_no_class_without_seats(own):
    write(own, ["root,R,,,,"])
    done = ask(own, "--list")
    assert done.returncode != 0
    assert "roster.csv:2: login 'root' is an account or a group of the system" in done.stderr


def test_the_example_in_the_checkout(own):
    done = ask(repo_dir() / definition.DEFAULT, "--host", "kernel-student01")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert body["ansible_become"] is True
    assert body["klab_class"]["labs"]
