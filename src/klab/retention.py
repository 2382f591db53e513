# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of many things of one sort are old enough to go."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T")
DAY_S = 86_400


def superseded(
    items: Iterable[T],
    *,
    group: Callable[[T], Hashable],
    made: Callable[[T], float],
    keep: int,
    older_than_days: float = 0,
) -> list[T]:
    """What is neither among the `keep` newest of its group nor younger than `older_than_days`.

    made: when an item was made, in epoch seconds. The order is from old to new.
    """
    newest_first = sorted(items, key=made, reverse=True)
    latest = time.time() - older_than_days * DAY_S
    seen: Counter[Hashable] = Counter()
    gone = []
    for item in newest_first:
        seen[group(item)] += 1
        if seen[group(item)] > max(keep, 0) and made(item) <= latest:
            gone.append(item)
    return gone[::-1]
