# SPDX-License-Identifier: GPL-3.0-or-later
"""A second run of site.yml changes nothing; --check and a tag behave as Ansible users expect."""

import pytest

from fixtures.playbooks import play
from klab.testing.machines import Machine


def boot_id(machine: Machine) -> str:
    return machine.output("cat /proc/sys/kernel/random/boot_id").strip()


@pytest.mark.parametrize("words", [[], ["--check"], ["--tags", "kernel"]], ids=["plain", "check", "tag"])
def test_done_is_done(machine: Machine, pytestconfig: pytest.Config, words: list[str]) -> None:
    before = boot_id(machine)
    recap, _ = play("site", "-i", pytestconfig.getoption("klab_inventory"), *words)
    assert recap, "no host in the recap"
    assert {host: counts["changed"] for host, counts in recap.items()} == dict.fromkeys(recap, 0)
    assert boot_id(machine) == before, "the machine was booted anew"
