# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests say of what they see: what was observed, what was expected, where to look.

Each call is one observation, recorded whether it passed or not (observe.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from klab.errors import KlabError
from klab.testing.observe import CANNOT_TELL, FAIL, PASS, RECORDER, text

T = TypeVar("T")


def _text(value: Any) -> str:
    return text(value).replace("\n", "\n             ")


def fail(what: str, *, observed: Any, expected: Any, look: str | Path, splat: str = "") -> NoReturn:
    """Fail the test with one message in klab's form. splat: the kernel's complaint, if it is one."""
    __tracebackhide__ = True
    RECORDER.note(FAIL, what, observed=observed, expected=expected, look=look, splat=splat)
    pytest.fail(
        f"{what}\n  observed:  {_text(observed)}\n  expected:  {_text(expected)}\n  look at:   {_text(look)}",
        pytrace=False,
    )


def equal(observed: Any, expected: Any, what: str, *, look: str | Path) -> None:
    """Fail unless `observed` equals `expected`."""
    __tracebackhide__ = True
    if observed != expected:
        fail(what, observed=observed, expected=expected, look=look)
    RECORDER.note(PASS, what)


def holds(fine: bool, what: str, *, observed: Any, expected: str, look: str | Path) -> None:
    """Fail unless `fine`; `expected` says in words what would have been."""
    __tracebackhide__ = True
    if not fine:
        fail(what, observed=observed, expected=expected, look=look)
    RECORDER.note(PASS, what)


def cannot_tell(reason: str, *, look: str | Path = "") -> NoReturn:
    """End the test with the third verdict: what it stands on is not there, or is too slow."""
    __tracebackhide__ = True
    RECORDER.note(CANNOT_TELL, reason, look=look)
    pytest.fail(f"cannot tell: {reason}", pytrace=False)


def or_fail(make: Callable[[str], T], name: str) -> T:
    """What `make(name)` returns; a KlabError of it is shown as klab shows it, without a traceback."""
    __tracebackhide__ = True
    try:
        return make(name)
    except KlabError as error:
        message = str(error)
    RECORDER.note(CANNOT_TELL, message)
    pytest.fail(message, pytrace=False)
