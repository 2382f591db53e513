# SPDX-License-Identifier: GPL-3.0-or-later
"""From what kernels showed to a verdict: observed, not observed, or cannot tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OBSERVED, NOT_OBSERVED, CANNOT_TELL = "observed", "not observed", "cannot tell"
# The line by which a guest says that it did what the promise describes.
PROVOKED = "klab: provoked"
LONGEST = 200  # characters of a line that is kept as evidence


@dataclass(frozen=True)
class Finding:
    """What one kernel showed when one promise was provoked.

    digest: of the promise and its guest. evidence: for each pattern of the promise the
    first line that matched, or "". provoked: whether the guest came to do it; lost: why
    it, or something before it, did not come to its end. text: the file with all of it.
    """

    kernel: str
    release: str
    digest: str
    provoked: bool
    evidence: tuple[str, ...]
    lost: str = ""
    text: str = ""
    wall_s: float = 0.0

    @property
    def shown(self) -> bool:
        """Whether all that the promise must show was there."""
        return bool(self.evidence) and all(self.evidence)

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON-able data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Finding:
        """The finding that was kept as data."""
        return cls(**{**data, "evidence": tuple(data["evidence"])})


@dataclass(frozen=True)
class Verdict:
    """The answer for one promise of one flavour, and why."""

    promise: str
    word: str
    reason: str
    here: Finding
    stock: Finding | None = None

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON-able data."""
        return asdict(self)


def evidence(shows: Iterable[re.Pattern[str]], lines: Sequence[str]) -> tuple[str, ...]:
    """For each pattern the first line in which it is found, else ""."""
    return tuple(
        next((line.strip()[:LONGEST] for line in lines if pattern.search(line)), "") for pattern in shows
    )


def provoked(lines: Iterable[str]) -> bool:
    """Whether the guest says that it did what it was to do."""
    return any(line.strip() == PROVOKED for line in lines)


def judge(
    promise: str, shows: Sequence[re.Pattern[str]], here: Finding, stock: Finding | None, *, alone: bool
) -> Verdict:
    """The verdict on what a flavour showed, beside what Debian's kernel showed.

    alone: the property may be stock's as well, so there is nothing to compare. Otherwise
    `stock` must have been provoked likewise and been silent: what every kernel shows is
    no merit of this one.
    """

    compared = None if alone else stock
    if not here.shown:
        return Verdict(promise, *_missing(shows, here), here, compared)
    word, reason = (OBSERVED, "") if alone else _compare(stock)
    return Verdict(promise, word, reason or here.evidence[0], here, compared)


def _missing(shows: Sequence[re.Pattern[str]], here: Finding) -> tuple[str, str]:
    """Word and reason where something was not shown."""
    if not here.provoked:
        return CANNOT_TELL, here.lost or "the guest never came to provoke it"
    seen = here.evidence or ("",) * len(shows)
    absent = [pattern.pattern for pattern, line in zip(shows, seen, strict=True) if not line]
    return NOT_OBSERVED, f"provoked, and nowhere is: {'; '.join(absent)}"


def _compare(stock: Finding | None) -> tuple[str, str]:
    """Word and reason where all was shown, by what Debian's kernel did."""
    if stock is None:
        return CANNOT_TELL, "there is no kernel to compare with: klab kernel build --flavour stock"
    if stock.shown:
        return NOT_OBSERVED, "Debian's kernel shows the same, so it proves nothing of this one"
    if not stock.provoked:
        return CANNOT_TELL, f"on stock: {stock.lost or 'the guest never came to provoke it'}"
    return OBSERVED, ""
