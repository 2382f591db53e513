# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of long steps, with an estimate from past runs.

A step writes lines like `kernel_build lab: 42 % (1250/2960), about 8 min left` to
stderr when that is a terminal, and to the file named by KLAB_PROGRESS, which klab's
Ansible callback shows while a task runs.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

from klab.paths import state_dir

EVERY_S = 5.0  # seconds between two lines; people read, they do not scan
REMEMBER = 5  # past runs that an estimate looks at


def _history() -> Path:
    return state_dir() / "history.jsonl"


def remember(step: str, key: str, wall_s: float, cpu_s: float = 0.0) -> None:
    """Note how long a step took, for later estimates and for the summary."""
    _history().parent.mkdir(parents=True, exist_ok=True)
    entry = {"step": step, "key": key, "wall_s": wall_s, "cpu_s": cpu_s, "at": int(time.time())}
    with _history().open("a") as stream:
        stream.write(json.dumps(entry, sort_keys=True) + "\n")


def estimate_s(step: str, key: str) -> float | None:
    """Median wall seconds of the last runs of a step; None when it never ran."""
    try:
        lines = _history().read_text().splitlines()
    except OSError:
        return None
    runs = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("step") == step and entry.get("key") == key:
            runs.append(float(entry["wall_s"]))
    return statistics.median(runs[-REMEMBER:]) if runs else None


def human(seconds: float) -> str:
    """Seconds as people say them: `40 s`, `12 min`."""
    return f"{round(seconds)} s" if seconds < 90 else f"{round(seconds / 60)} min"


class Progress:
    """The progress of one step, in units (objects compiled, packages, …).

    expected_s: wall seconds to expect, `basis` says why; else as long as past runs took.
    """

    def __init__(
        self,
        step: str,
        key: str,
        total: int | None = None,
        *,
        expected_s: float | None = None,
        basis: str = "",
    ) -> None:
        self.step = step
        self.key = key
        self.total = total
        self.done = 0
        self.started = time.monotonic()
        self.expected_s = expected_s or estimate_s(step, key)
        self._last = 0.0
        about = f", about {human(self.expected_s)}" if self.expected_s else ""
        about += f" ({basis})" if about and basis else ""
        self._say(f"{step} {key}: started{about}")

    def advance(self, note: str = "", units: int = 1) -> None:
        """Count units done and say so, not more often than EVERY_S."""
        self.done += units
        now = time.monotonic()
        if now - self._last < EVERY_S:
            return
        self._last = now
        self._say(f"{self.step} {self.key}: {self._state(now - self.started)}{note and f' {note}'}")

    def _state(self, elapsed: float) -> str:
        if not self.total:
            left = max(self.expected_s - elapsed, 0) if self.expected_s else None
            return human(elapsed) + (f", about {human(left)} left" if left else "")
        share = min(self.done / self.total, 1.0)
        text = f"{share:.0%} ({self.done}/{self.total})"
        if share > 0.02:
            text += f", about {human(elapsed / share - elapsed)} left"
        return text

    def _say(self, text: str) -> None:
        if sink := os.environ.get("KLAB_PROGRESS"):
            try:
                with Path(sink).open("a") as stream:
                    stream.write(text + "\n")
            except OSError:
                pass  # progress is a courtesy; never the reason a build fails
        elif sys.stderr.isatty():
            print(text, file=sys.stderr)
