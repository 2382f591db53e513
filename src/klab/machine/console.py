# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a machine's console: is waiting in vain, and did the kernel complain.

The file keeps all boots. At each turn of its life klab adds a line `# klab: <turn>`;
what the present guest has lived through is picked out by these lines.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from klab.paths import data_file

MARK = "# klab: "
BOOT, READY, RESET, RESUME = "boot", "ready", "reset", "resume"
TAIL = 12  # lines that an error shows
# A kernel line may start behind what a program left on the line.
KERNEL = re.compile(r"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? ")
NOISE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])|[\x00-\x08\x0b-\x1f]")


@dataclass(frozen=True)
class Pattern:
    """A named regular expression from data/*.yml."""

    name: str
    regex: re.Pattern[str]
    mend: str = ""


@dataclass(frozen=True)
class Finding:
    """A line that matched, where it stands, and what follows it."""

    name: str
    line: str
    number: int  # line of console.log, from 1
    mend: str = ""


@cache
def patterns(name: str) -> tuple[Pattern, ...]:
    """The patterns of data/<name>.yml, in order."""
    listed = yaml.safe_load(data_file(f"{name}.yml").read_text())
    return tuple(
        Pattern(
            p["name"],
            re.compile("|".join([p["pattern"]] if isinstance(p["pattern"], str) else p["pattern"])),
            p.get("mend", ""),
        )
        for p in listed
    )


@cache
def _any(name: str) -> re.Pattern[str]:
    """All of them in one: most lines match none, and are many."""
    return re.compile("|".join(f"(?:{pattern.regex.pattern})" for pattern in patterns(name)))


def mark(path: Path, turn: str) -> None:
    """Note a turn of the machine's life in its console file."""
    if path.exists() and not os.access(path, os.W_OK):  # libvirt's daemon has made it its own
        draft = path.with_name(f"{path.name}.new")
        shutil.copyfile(path, draft)
        draft.replace(path)
    with path.open("a") as stream:
        stream.write(f"\n{MARK}{turn} {time.strftime('%FT%TZ', time.gmtime())}\n")


def lines(path: Path) -> list[str]:
    """The console's lines without escape sequences; empty when there is no file."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    return [NOISE.sub("", line) for line in text.splitlines()]


def tail(path: Path, count: int = TAIL) -> str:
    """The last lines that say anything."""
    return "\n".join([line for line in lines(path) if line.strip()][-count:])


def current(text: list[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines that the guest running now has lived through.

    From the last boot on; after a reset, what came between the ready snapshot and that
    reset, other boots among it, never happened.
    """
    turns = [(n, line.split()[2]) for n, line in enumerate(text) if line.startswith(MARK)]
    reset = max((n for n, turn in turns if turn in (BOOT, RESET)), default=0)
    ready = reset
    if (reset, RESET) in turns:
        ready = max((n for n, turn in turns if turn == READY and n < reset), default=reset)
    start = max((n for n, turn in turns if turn == BOOT and n <= ready), default=0)
    for number, line in enumerate(text):
        if start <= number <= ready or number >= reset:
            yield number + 1, line


def hopeless(text: list[str]) -> Finding | None:
    """The first sign, in the present boot, that the machine will never answer."""
    seen = list(current(text))
    for pattern in patterns("console"):
        for number, line in seen:
            if pattern.regex.search(line):
                return Finding(pattern.name, line.strip(), number, pattern.mend)
    return None


def splats(text: list[str], *, everything: bool = False) -> list[Finding]:
    """Kernel complaints of the present guest, or of all boots with `everything`."""
    found, any_of = [], _any("splats")
    for number, line in enumerate(text, 1) if everything else current(text):
        if not (head := KERNEL.search(line)):
            continue
        said = line[head.end() :]
        if not any_of.match(said):
            continue
        for pattern in patterns("splats"):
            if pattern.regex.match(said):
                found.append(Finding(pattern.name, said.strip(), number))
                break
    return found
