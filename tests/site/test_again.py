# SPDX-License-Identifier: GPL-3.0-or-later
"""A second run of site.yml changes nothing; --check and a tag behave as Ansible users expect."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from klab.testing.machines import Machine

REPO = Path(__file__).resolve().parents[2]


def site(inventory: str, *words: str) -> dict[str, dict[str, int]]:
    """Run site.yml; the recap's counts by host."""
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/site.yml", "-i", inventory]
    env = {**os.environ, "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        [*command, *words],
        cwd=REPO,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(done.stdout, pytrace=False)
    recap = done.stdout.partition("PLAY RECAP")[2]
    rows = re.findall(r"^(\S+) +: (ok=.*)$", recap, re.M)
    return {host: {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in rows}


def boot_id(machine: Machine) -> str:
    return machine.output("cat /proc/sys/kernel/random/boot_id").strip()


@pytest.mark.parametrize("words", [[], ["--check"], ["--tags", "kernel"]], ids=["plain", "check", "tag"])
def test_done_is_done(machine: Machine, pytestconfig: pytest.Config, words: list[str]) -> None:
    before = boot_id(machine)
    recap = site(pytestconfig.getoption("klab_inventory"), *words)
    assert recap, "no host in the recap"
    assert {host: counts["changed"] for host, counts in recap.items()} == dict.fromkeys(recap, 0)
    assert boot_id(machine) == before, "the machine was booted anew"
