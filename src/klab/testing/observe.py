# SPDX-License-Identifier: GPL-3.0-or-later
"""What a grader saw: one record for each thing it looked at, passed ones too.

The grader's pytest process sends them as JSON lines; klab.lab.grade reads them.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

PASS, FAIL, CANNOT_TELL = "pass", "fail", "cannot tell"
MARKS = {PASS: "ok", FAIL: "FAIL", CANNOT_TELL: "?"}
WIDTH = 100  # columns of the text form
SHOWN = 2000  # characters of a value that are shown
END = "end"  # the last line of the stream: the grader went through all of its tests
BUILDS = "your files build"  # begins the observation that a build went well, or did not


@dataclass(frozen=True)
class Observation:
    """One thing looked at. word: pass, fail or cannot tell; the other fields are text for people.

    what: the claim, written so that it reads well behind `ok` and behind `FAIL`.
    splat: the kernel's complaint, where that is what was seen.
    """

    word: str
    what: str
    observed: str = ""
    expected: str = ""
    look: str = ""
    test: str = ""
    splat: str = ""

    @classmethod
    def from_line(cls, line: str) -> Observation:
        """Read one JSON line. Raises ValueError or TypeError when it is none."""
        body: dict[str, Any] = json.loads(line)
        return cls(**body)

    def line(self) -> str:
        """The observation as one JSON line."""
        return json.dumps(asdict(self))


def text(value: object) -> str:
    """A value as a message shows it: its end when it is long."""
    said = value if isinstance(value, str) else str(value) if hasattr(value, "__fspath__") else repr(value)
    said = said if len(said) <= SHOWN else f"… {said[-SHOWN:]}"
    return said.rstrip() or "(nothing)"


def show(seen: Observation) -> str:
    """The text form: a mark and what; where it did not pass, also what was seen and what to do."""
    lines = _wrapped(f"{MARKS[seen.word]:<5} ", seen.what)
    if seen.word != PASS:
        for name, label in (("observed", "observed:"), ("expected", "expected:"), ("look", "look at:")):
            if said := getattr(seen, name):
                lines += _wrapped(f"        {label:<10} ", said)
    return "\n".join(lines)


def _wrapped(head: str, said: str) -> list[str]:
    """Lines of at most WIDTH columns, the second and later ones below the first's text."""
    folded = [
        part
        for line in said.expandtabs().splitlines() or [""]
        for part in textwrap.wrap(line, WIDTH - len(head), replace_whitespace=False, drop_whitespace=False)
        or [""]
    ]
    return [
        f"{head if number == 0 else ' ' * len(head)}{part}".rstrip() for number, part in enumerate(folded)
    ]


class Recorder:
    """Keeps the observations of a run and hands each on as it is made."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self.test = ""  # the test under way
        self.brief = False  # nobody reads more than whether it passed
        self.hear: Callable[[Observation], None] = lambda _: None

    def note(self, word: str, what: str, *, splat: str = "", **said: object) -> None:
        """Record one observation of the test under way; said: observed, expected, look."""
        shown = {name: text(value) for name, value in said.items() if value != "" or word == FAIL}
        seen = Observation(word, what, test=self.test, splat=splat, **shown)
        self.seen.append(seen)
        self.hear(seen)

    def of(self, test: str) -> list[Observation]:
        """What was observed in one test."""
        return [seen for seen in self.seen if seen.test == test]

    @property
    def good(self) -> bool:
        """Whether all that was looked at so far passed."""
        return all(seen.word == PASS for seen in self.seen)


# A pytest process runs one test after the other: one recorder is all it needs.
RECORDER = Recorder()
