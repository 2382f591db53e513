# SPDX-License-Identifier: GPL-3.0-or-later
"""A module builds against the installed headers, loads, acts, and unloads."""

from collections.abc import Iterator

import pytest

from klab.testing import expect
from klab.testing.machines import Machine


@pytest.fixture(scope="module")
def loaded(machine: Machine, workshop: str) -> Iterator[str]:
    """The folder of our module, built and loaded with value=21."""
    machine.output("make -s -C %s/module", workshop, deadline_s=180)
    folder = f"{workshop}/module"
    machine.output("insmod %s/klab_answer.ko value=21", folder, root=True)
    yield folder
    machine.run("rmmod klab_answer 2>/dev/null", root=True)


def test_module_acts(machine: Machine, loaded: str) -> None:
    expect.equal(
        machine.output("cat /proc/klab_answer").strip(),
        "42",
        "the loaded module does not do what its source says",
        look=f"{loaded}; dmesg",
    )


def test_module_brings_its_own_btf(machine: Machine, loaded: str) -> None:
    said = machine.output(
        "bpftool -B /sys/kernel/btf/vmlinux btf dump file /sys/kernel/btf/klab_answer format raw", root=True
    )
    expect.holds(
        "STRUCT 'klab_answer' size=4" in said,
        "the module carries no BTF of its own",
        observed=said,
        expected="STRUCT 'klab_answer' size=4",
        look="/lib/modules/$(uname -r)/build/vmlinux must exist when a module is built",
    )


def test_module_unloads(machine: Machine, loaded: str) -> None:
    said = machine.output(
        "rmmod klab_answer && ls /proc/klab_answer /sys/module/klab_answer 2>&1 || true", root=True
    )
    expect.equal(said.count("No such file"), 2, "the module did not go away", look="lsmod; dmesg")
