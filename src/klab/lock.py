# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time for one thing: a lock that dies with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from klab.errors import KlabError


@contextmanager
def held(path: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path` while the block runs.

    Raises KlabError at once when another process holds it: waiting silently for
    half an hour helps nobody. wait: for what is held only for a moment, and waited for.
    The kernel drops the lock when its holder dies, so a file left behind is never in
    the way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise KlabError(
                f"another klab run (pid {holder}) is already at work on {what}",
                step="lock",
                mend=f"wait until it ends, or stop it: kill {holder}",
            ) from None
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        try:
            yield
        finally:
            # Closing is not enough: a process that another thread is just starting has the
            # file open too, until it runs its program, and would keep the lock that long.
            fcntl.flock(stream, fcntl.LOCK_UN)
