# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures in one form: what was observed, what was expected, where to look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from klab.errors import KlabError

T = TypeVar("T")

SHOWN = 2000  # characters of an observation that a message shows


def _text(value: Any) -> str:
    text = str(value) if isinstance(value, str | Path) else repr(value)
    text = text if len(text) <= SHOWN else f"… {text[-SHOWN:]}"
    return text.rstrip().replace("\n", "\n             ") or "(nothing)"


def fail(what: str, *, observed: Any, expected: Any, look: str | Path) -> NoReturn:
    """Fail the test with one message in klab's form."""
    __tracebackhide__ = True
    pytest.fail(
        f"{what}\n  observed:  {_text(observed)}\n  expected:  {_text(expected)}\n  look at:   {_text(look)}",
        pytrace=False,
    )


def equal(observed: Any, expected: Any, what: str, *, look: str | Path) -> None:
    """Fail unless `observed` equals `expected`."""
    __tracebackhide__ = True
    if observed != expected:
        fail(what, observed=observed, expected=expected, look=look)


def holds(fine: bool, what: str, *, observed: Any, expected: str, look: str | Path) -> None:
    """Fail unless `fine`; `expected` says in words what would have been."""
    __tracebackhide__ = True
    if not fine:
        fail(what, observed=observed, expected=expected, look=look)


def or_fail(make: Callable[[str], T], name: str) -> T:
    """What `make(name)` returns; a KlabError of it is shown as klab shows it, without a traceback."""
    __tracebackhide__ = True
    try:
        return make(name)
    except KlabError as error:
        text = str(error)
    pytest.fail(text, pytrace=False)
