# SPDX-License-Identifier: GPL-3.0-or-later
"""After all that the other checks did: everything runs, and the kernel never complained."""

from klab.machine import console
from klab.testing import expect
from klab.testing.machines import Machine


def test_no_unit_failed(machine: Machine) -> None:
    done = machine.run(
        "systemctl is-system-running --wait; systemctl list-units --failed --plain --no-legend", deadline_s=90
    )
    expect.equal(
        done.out.strip(),
        "running",
        "the system is not running whole",
        look="systemctl --failed; journalctl -b -p warning",
    )


def test_no_kernel_splat(machine: Machine) -> None:
    # The log of the kernel holds what the console's level leaves out.
    log = machine.output("dmesg", root=True).splitlines()
    found = [*console.splats(console.lines(machine.record.console)), *console.splats(log)]
    expect.equal(
        [f"{splat.name}: {splat.line}" for splat in found],
        [],
        "the kernel complained",
        look=f"{machine.record.console}; dmesg; patterns in src/klab/data/splats.yml",
    )
