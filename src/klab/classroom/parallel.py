# SPDX-License-Identifier: GPL-3.0-or-later
"""One function over many seats at once: each gives a result or an error, and none stops the others."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from klab.errors import KlabError
from klab.paths import log_dir

AT_ONCE = 32  # connections; what they wait for is the other side
TASKS = Path("/proc/self/task")


class Named(Protocol):
    """Anything with a name: a seat, or a seat as it is reached."""

    @property
    def name(self) -> str:
        """The name under which its result is told."""


N = TypeVar("N", bound=Named)
T = TypeVar("T")


def over(
    seats: Iterable[N],
    do: Callable[[N], T],
    *,
    jobs: int = AT_ONCE,
    stop: threading.Event | None = None,
    tell: Callable[[str, T | KlabError], None] | None = None,
) -> dict[str, T | KlabError]:
    """Results by name, in the order of `seats`. jobs: how many at once.

    tell: hears each as it comes. stop: is set when the run is interrupted (Ctrl-C, SIGTERM); the
    programs that `do` has started are then ended, and the interruption goes on to the caller.
    """
    listed = list(seats)
    found: dict[str, T | KlabError] = {}
    threads: set[int] = set()
    pool = ThreadPoolExecutor(
        max(1, min(jobs, len(listed))), initializer=lambda: threads.add(threading.get_native_id())
    )
    try:
        waiting: dict[Future[T | KlabError], str] = {
            pool.submit(_one, seat, do): seat.name for seat in listed
        }
        for done in as_completed(waiting):
            name = waiting[done]
            found[name] = done.result()
            if tell:
                tell(name, found[name])
    except BaseException:
        if stop:
            stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        _end(threads)
        raise
    finally:
        pool.shutdown()
    return {seat.name: found[seat.name] for seat in listed}


def _one(seat: N, do: Callable[[N], T]) -> T | KlabError:
    try:
        return do(seat)
    except KlabError as error:
        error.machine = error.machine or seat.name
        return error
    except Exception as error:  # a student's strangest file must not cost the others their grade
        log = log_dir() / f"class-{seat.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc())
        return KlabError(
            f"klab broke: {type(error).__name__}: {error}",
            step="class: one seat of many",
            machine=seat.name,
            log=log,
            mend="the log says where; please report it",
        )


def _end(threads: set[int]) -> None:
    """End the programs that these threads of ours have started."""
    for thread in threads:
        with suppress(OSError):  # the thread has ended meanwhile
            for child in (TASKS / str(thread) / "children").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGTERM)
