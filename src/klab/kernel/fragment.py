# SPDX-License-Identifier: GPL-3.0-or-later
"""Config fragments: groups of symbols, each under the comment that says why.

A group may carry conditions among its comment lines, and nothing else clever:

    # min 6.6            requested of this kernel line and later ones
    # max 6.11           requested of this kernel line and earlier ones
    # optional: reason   may be dropped; the manifest says so
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from klab.errors import KlabError

_SET = re.compile(r"^CONFIG_(?P<name>\w+)=(?P<value>y|m|-?\d+|0x[0-9a-fA-F]+|\"[^\"]*\")$")
_UNSET = re.compile(r"^# CONFIG_(?P<name>\w+) is not set$")
_LIMIT = re.compile(r"^# (?P<end>min|max) (?P<version>\d+\.\d+(?:\.\d+)?)$")
_OPTIONAL = re.compile(r"^# optional: (?P<reason>\S.*)$")
_ALMOST = re.compile(r"^#\s*(min|max|optional)\b")
STEP = "kernel_build: read fragments"


@dataclass(frozen=True)
class Request:
    """One symbol that a fragment asks for; value as in .config, "n" for not set.

    since, until: the first and the last kernel line of which it is asked, "" for any.
    optional: why the kernel may drop it, "" when it may not; became: the other value
    that such a one has in the resolved config, "" while it has its own.
    """

    name: str
    value: str
    fragment: str
    line: int
    reason: str
    since: str = ""
    until: str = ""
    optional: str = ""
    became: str = ""

    @property
    def place(self) -> str:
        """Where it stands: `fragment.config:line`."""
        return f"{self.fragment}.config:{self.line}"

    @property
    def setting(self) -> str:
        """The line of a .config that asks for it."""
        if self.value == "n":
            return f"# CONFIG_{self.name} is not set"
        return f"CONFIG_{self.name}={self.value}"

    def asked_of(self, release: str) -> bool:
        """Whether a kernel of this version is asked for it; max 6.11 includes 6.11.5."""
        version = _parts(release)
        until = _parts(self.until)
        return version >= _parts(self.since) and (not until or version[: len(until)] <= until)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3])


@dataclass
class _Group:
    """The comment lines read so far, and the symbols under them."""

    reason: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    conditions: dict[str, str] = field(default_factory=dict)

    def comment(self, line: str, place: str) -> None:
        """Take in a comment line: a condition, or a part of the reason."""
        if limit := _LIMIT.match(line):
            self.conditions["since" if limit["end"] == "min" else "until"] = limit["version"]
        elif optional := _OPTIONAL.match(line):
            self.conditions["optional"] = optional["reason"]
        elif _ALMOST.match(line):
            raise KlabError(
                f"{place}: cannot read the condition '{line}'",
                step=STEP,
                mend="write '# min 6.6', '# max 6.11' or '# optional: reason'",
            )
        else:
            self.reason.append(line.lstrip("# "))


def parse(path: Path, *, tidy: bool = True) -> list[Request]:
    """The requests of one fragment file.

    Raises KlabError for a line that is neither a comment nor a symbol and, when it must
    be `tidy`, for a group without its reason and symbols out of order.
    """
    requests: list[Request] = []
    group = _Group()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        place = f"{path}:{number}"
        found = _SET.match(line) or _UNSET.match(line)
        if not line.strip():
            group = _Group()
        elif found:
            name = found["name"]
            if not group.reason and tidy:
                raise KlabError(
                    f"{place}: CONFIG_{name} stands under no reason",
                    step=STEP,
                    mend="write a comment line above the group that says why it is there",
                )
            if group.names and name <= group.names[-1] and tidy:
                raise KlabError(
                    f"{place}: CONFIG_{name} comes after CONFIG_{group.names[-1]}",
                    step=STEP,
                    mend="keep each group in alphabetical order, each symbol once",
                )
            group.names.append(name)
            value = found.groupdict().get("value") or "n"
            reason = " ".join(group.reason) or f"asked for in {path.name}"
            requests.append(Request(name, value, path.stem, number, reason, **group.conditions))
        elif line.startswith("# SPDX-"):
            continue
        elif line.startswith("#"):
            if group.names and tidy:
                raise KlabError(
                    f"{place}: a comment in the middle of a group",
                    step=STEP,
                    mend="put an empty line before it: it begins another group",
                )
            if group.names:
                group = _Group()
            group.comment(line, place)
        else:
            raise KlabError(
                f"{place}: cannot read '{line}'",
                step=STEP,
                mend="write CONFIG_NAME=value or '# CONFIG_NAME is not set'",
            )
    return requests


def combine(fragments: Sequence[Path], release: str, *, tidy: bool = True) -> dict[str, Request]:
    """What a kernel of version `release` is asked for, by symbol name, in fragment order.

    Raises KlabError when two fragments ask for different values of one symbol:
    which of them should win is for people to say, not for the order of a list.
    """
    whole: dict[str, Request] = {}
    for path in fragments:
        for request in parse(path, tidy=tidy):
            if not request.asked_of(release):
                continue
            other = whole.setdefault(request.name, request)
            if other.value != request.value:
                raise KlabError(
                    f"CONFIG_{request.name} is {other.value} in {other.place}, "
                    f"but {request.value} in {request.place}",
                    step=STEP,
                    mend="take it out of one of the two, or leave one fragment out of the flavour",
                )
            if other.optional and not request.optional:
                whole[request.name] = request  # one fragment needs it: the kernel must keep it
    return whole


def render(requests: Iterable[Request]) -> str:
    """The requests as text that the kernel's merge_config.sh reads."""
    return "".join(f"{request.setting}\n" for request in requests)
