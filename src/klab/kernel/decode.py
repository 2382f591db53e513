# SPDX-License-Identifier: GPL-3.0-or-later
"""Source lines for what a kernel reports: `name+0x12/0x40 [module]` gets the place in the source behind it.

The work of the kernel's scripts/decode_stacktrace.sh. That starts addr2line for each name, which
takes twenty seconds for a vmlinux; gdb answers for all at once, by the index (symbols.py). A module
is small, and addr2line knows its sections apart.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from klab import sandbox, store
from klab.errors import KlabError
from klab.kernel import symbols

NAME = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*)\+0x([0-9a-f]+)/0x([0-9a-f]+)(?: \[(\w+)\])?")
# Elsewhere an address is one that is returned to, behind the call that is meant.
AT = re.compile(r"\bRIP: ")
SECTION = re.compile(r"^ *\[ *(\d+)\] (\S+)", re.MULTILINE)
FUNCTION = re.compile(r"^ *\d+: (\w+) +\S+ FUNC +\S+ +\S+ +(\d+) (\S+)$", re.MULTILINE)
LINE = re.compile(r'^Line (\d+) of "([^"]+)"', re.MULTILINE)
STEM = ("/klab/src/", f"{sandbox.WORK}/", "./")  # where kernels and modules are built
DEADLINE_S = 60.0
MEMORY = 2048  # MiB of address space


@cache
def _map(path: Path) -> tuple[dict[str, list[int]], list[int]]:
    """System.map: {name: its addresses}, and all addresses in order."""
    found: dict[str, list[int]] = {}
    for line in path.read_text().splitlines():
        address, _, name = line.split(maxsplit=2)
        found.setdefault(name, []).append(int(address, 16))
    return found, sorted({each for places in found.values() for each in places})


def _address(kernel: store.Entry, name: str, size: int) -> int | None:
    """Where a function of the kernel begins. Of several with that name, the one of that size."""
    names, order = _map(kernel.file("System.map"))
    places = names.get(name, [])
    fitting = [a for a in places if (n := bisect_right(order, a)) < len(order) and order[n] - a == size]
    return next(iter([*fitting, *places]), None)


def lines(text: Sequence[str], kernel: store.Entry, modules: Mapping[str, Path]) -> list[str]:
    """The lines, with the place in the source behind each name that is known.

    modules: {name: its file with symbols}. Where nothing can be found out the lines stay as they
    are: a report without places is better than none.
    """
    wanted: dict[tuple[int, int], tuple[str, str, int]] = {}  # (line, where in it): (file, name, address)
    for number, line in enumerate(text):
        for found in NAME.finditer(line):
            name, offset, size, module = found.groups()
            at = int(offset, 16) - (0 if AT.search(line) else 1)
            if module is None and (begin := _address(kernel, name, int(size, 16))) is not None:
                wanted[number, found.end()] = ("", name, begin + at)
            elif module in modules:
                wanted[number, found.end()] = (module, name, at)
    asked: dict[str, set[tuple[str, int]]] = {}
    for file, name, address in wanted.values():
        asked.setdefault(file, set()).add((name, address))
    try:
        told = {
            file: _module(modules[file], sorted(names)) if file else _kernel(kernel, sorted(names))
            for file, names in asked.items()
        }
    except KlabError:
        return list(text)
    decoded = list(text)
    for (number, at), (file, name, address) in sorted(wanted.items(), reverse=True):
        if place := told[file].get((name, address)):
            decoded[number] = f"{decoded[number][:at]} ({place}){decoded[number][at:]}"
    return decoded


def _place(path: str, line: str) -> str:
    for stem in STEM:
        path = path.removeprefix(stem)
    return f"{path}:{line}"


def _ask(words: Sequence[str], folder: Path, shows: Mapping[str, Path] | None = None) -> str:
    """What a tool says of a file that somebody else may have written."""
    return sandbox.run(
        words, folder=folder, deadline_s=DEADLINE_S, memory_mib=MEMORY, toolchain=symbols.ROOT, shows=shows
    ).out


def _kernel(kernel: store.Entry, asked: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """{(name, address): the place}, of the kernel's own functions."""
    words = ["gdb", "-nx", "-batch", "-iex", "set auto-load no"]
    for _, address in asked:
        words += ["-ex", f"echo \\n@{address}\\n", "-ex", f"info line *{address}"]
    vmlinux = symbols.ensure(kernel)
    with tempfile.TemporaryDirectory(prefix="klab-decode-") as folder:
        words.append(f"{symbols.PLACE}/{symbols.NAME}")
        said = _ask(words, Path(folder), {symbols.PLACE: vmlinux.parent})
    places = {}
    for part in said.split("\n@")[1:]:
        where, _, answer = part.partition("\n")
        if found := LINE.search(answer):
            places[int(where)] = _place(found[2], found[1])
    return {each: places[each[1]] for each in asked if each[1] in places}


def _module(module: Path, asked: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """{(name, offset): the place}. All sections of a module begin at 0, so that each is asked by its name."""
    with tempfile.TemporaryDirectory(prefix="klab-decode-") as place:
        folder = Path(place)
        shutil.copyfile(module, folder / "module")
        said = _ask(["readelf", "-W", "-S", "-s", "module"], folder)
        sections = dict(SECTION.findall(said))
        found = {name: (sections[number], int(value, 16)) for value, number, name in FUNCTION.findall(said)}
        known = [each for each in asked if each[0] in found]
        script = "; ".join(
            f"addr2line -e module -j {section} {begin + offset:#x}"
            for (_, offset), (section, begin) in ((each, found[each[0]]) for each in known)
        )
        answers = _ask(["sh", "-c", script], folder).splitlines() if known else []
    places = {}
    for each, answer in zip(known, answers, strict=False):
        path, _, line = answer.partition(" ")[0].rpartition(":")
        if line.isdigit():
            places[each] = _place(path, line)
    return places
