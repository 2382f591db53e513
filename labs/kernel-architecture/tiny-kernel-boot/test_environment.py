# SPDX-License-Identifier: GPL-3.0-or-later
"""What builds of students go on from is there, and boots."""

from pathlib import Path

from klab import accel
from klab.guest import bare
from klab.kernel import student
from klab.testing import expect

REFERENCE = student.Wanted((Path(__file__).parent / "grader/reference.config",))


def test_the_reference_boots():
    kernel = student.ensure(REFERENCE, reference=True)
    booted = bare.boot(kernel.file("bzImage"), {}, which=accel.probe().accel, cmdline="console=ttyS0 panic=0")
    expect.holds(
        booted.how == bare.PANIC and any("No working init found" in line for line in booted.lines),
        "the reference kernel boots as far as it can without an init",
        observed="\n".join(booted.lines[-5:]),
        expected="its panic about init",
        look="klab cache list: references",
    )
