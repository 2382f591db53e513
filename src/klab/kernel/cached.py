# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel in the cache, by its digest."""

from __future__ import annotations

from klab import store
from klab.errors import KlabError

KIND = "kernels"


def get(digest: str, flavour: str, whose: str, step: str) -> store.Entry:
    """The kernel that `whose` names was made with. Raises KlabError when the cache has it no more."""
    if found := store.find(KIND, digest):
        return found
    raise KlabError(
        f"the kernel {digest[:12]} of {whose} is not in the cache any more",
        step=step,
        mend=f"klab kernel build --flavour {flavour} (of the same state of klab)",
    )
