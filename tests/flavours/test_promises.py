# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kernel shows what its flavour promises, in guests of it and of Debian's own kernel.

A flavour that is not in the cache fails: nothing is known of it, and that is not green.
"""

from collections.abc import Callable

from klab.promise import observe
from klab.promise.verdict import OBSERVED
from klab.testing import expect


def test_promise(flavour: str, promise: str, record_property: Callable[[str, object], None]) -> None:
    (verdict,) = expect.or_fail(lambda name: observe.observe(flavour, [name]), promise)
    record_property("klab.kernel", verdict.here.kernel)
    record_property("klab.evidence", "\n".join(verdict.here.evidence))
    expect.holds(
        verdict.word == OBSERVED,
        f"flavour {flavour} promises {promise}: {verdict.word}",
        observed=verdict.reason,
        expected="; ".join(pattern.pattern for pattern in observe.promised(flavour, [promise])[0].shows),
        look=verdict.here.text,
    )
