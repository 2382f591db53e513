# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs left behind in the machine's kernel goes when a lab of BPF or tracing is reset."""

from collections.abc import Iterator

import pytest

from fixtures import seats
from klab.testing import expect
from klab.testing.machines import Machine

LAB = "ebpf/verifier-gym"
LEFT = {
    *("name left_xdp", "name left_tc", "name left_cgroup", "left_map"),
    *("left/opened", "left_late", "vfs_read", "next_pid > 1", "current_tracer:function", "tracing_on:0"),
}


@pytest.fixture
def begun(machine: Machine) -> Iterator[None]:
    """The lab is on the machine, and afterwards it is as if nobody had begun it."""
    with seats.kept(machine.record):
        machine.output("klab start %s", LAB, deadline_s=180)
        yield
    machine.run("ip link del left0; rmdir /sys/fs/cgroup/left", root=True)
    machine.run("rm -rf ~/labs/%s ~/labs/.before-reset/%s-*; rmdir ~/labs/* 2>/dev/null", LAB, LAB)


@pytest.mark.usefixtures("begun")
def test_a_reset_takes_away_what_programs_left(machine: Machine, workshop: str) -> None:
    """And nothing that systemd has put there."""
    clean = machine.output("bash %s/left/look.sh", workshop, root=True)
    machine.output("bash %s/left/leave.sh", workshop, root=True, deadline_s=180)
    dirty = machine.output("bash %s/left/look.sh", workshop, root=True)
    assert {word for word in LEFT if word not in dirty} == set(), dirty
    machine.output("klab reset %s", LAB, deadline_s=180)
    expect.equal(
        machine.output("bash %s/left/look.sh", workshop, root=True),
        clean,
        "nothing of it is there, and all that was before",
        look="src/klab/data/sweep.sh",
    )
