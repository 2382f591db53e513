# SPDX-License-Identifier: GPL-3.0-or-later
"""Config fragments: groups of symbols, each under the comment that says why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from klab.errors import KlabError

_SET = re.compile(r"^CONFIG_(?P<name>\w+)=(?P<value>y|m|-?\d+|0x[0-9a-fA-F]+|\"[^\"]*\")$")
_UNSET = re.compile(r"^# CONFIG_(?P<name>\w+) is not set$")
STEP = "kernel_build: read fragments"


@dataclass(frozen=True)
class Request:
    """One symbol that a fragment asks for; value as in .config, "n" for not set."""

    name: str
    value: str
    fragment: str
    line: int
    reason: str

    @property
    def place(self) -> str:
        """Where it stands: `fragment.config:line`."""
        return f"{self.fragment}.config:{self.line}"


def parse(path: Path) -> list[Request]:
    """The requests of one fragment file.

    Raises KlabError for a line that is neither a comment nor a symbol, a group
    without its reason, and symbols out of order.
    """
    requests: list[Request] = []
    reason: list[str] = []
    group: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        place = f"{path}:{number}"
        found = _SET.match(line) or _UNSET.match(line)
        if not line.strip():
            reason, group = [], []
        elif found:
            name = found["name"]
            if not reason:
                raise KlabError(
                    f"{place}: CONFIG_{name} stands under no reason",
                    step=STEP,
                    mend="write a comment line above the group that says why it is there",
                )
            if group and name <= group[-1]:
                raise KlabError(
                    f"{place}: CONFIG_{name} comes after CONFIG_{group[-1]}",
                    step=STEP,
                    mend="keep each group in alphabetical order, each symbol once",
                )
            group.append(name)
            value = found.groupdict().get("value") or "n"
            requests.append(Request(name, value, path.stem, number, " ".join(reason)))
        elif line.startswith("# SPDX-"):
            continue
        elif line.startswith("#"):
            reason.append(line.lstrip("# "))
        else:
            raise KlabError(
                f"{place}: cannot read '{line}'",
                step=STEP,
                mend="write CONFIG_NAME=value or '# CONFIG_NAME is not set'",
            )
    return requests


def combine(fragments: Sequence[Path]) -> dict[str, Request]:
    """All requests of a flavour by symbol name, in fragment order.

    Raises KlabError when two fragments ask for different values of one symbol:
    which of them should win is for people to say, not for the order of a list.
    """
    whole: dict[str, Request] = {}
    for path in fragments:
        for request in parse(path):
            other = whole.setdefault(request.name, request)
            if other.value != request.value:
                raise KlabError(
                    f"CONFIG_{request.name} is {other.value} in {other.place}, "
                    f"but {request.value} in {request.place}",
                    step=STEP,
                    mend="take it out of one of the two, or leave one fragment out of the flavour",
                )
    return whole
