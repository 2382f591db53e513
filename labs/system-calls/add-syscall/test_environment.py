# SPDX-License-Identifier: GPL-3.0-or-later
"""The pinned tree builds: what students' kernels go on from is there."""

from pathlib import Path

import pytest

from klab.kernel.student import Wanted, ensure
from klab.testing import expect

GRADER = Path(__file__).parent / "grader"
MICRO, SANITIZED = (GRADER / "micro.config",), (GRADER / "micro.config", GRADER / "sanitizer.config")
REFERENCES = {
    "micro": Wanted(MICRO, GRADER / "stubs.patch", Wanted(MICRO)),
    "sanitizer": Wanted(SANITIZED),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_the_reference_builds(name):
    kernel = ensure(REFERENCES[name], reference=True)
    size = kernel.file("bzImage").stat().st_size
    expect.holds(
        size > 0,
        f"the {name} kernel builds",
        observed=f"{size} bytes",
        expected="a bzImage",
        look=kernel.path,
    )
