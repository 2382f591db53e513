# SPDX-License-Identifier: GPL-3.0-or-later
"""Source lines for what a kernel reports: `name+0x12/0x40 [module]` gets the place in the source behind it.

The work of the kernel's scripts/decode_stacktrace.sh. That starts addr2line for each name, which
takes twenty seconds for a vmlinux; gdb answers for all at once, by the index (symbols.py).
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
LINE = re.compile(r'^Line (\d+) of "([^"]+)"', re.MULTILINE)
STEM = ("/klab/src/", f"{sandbox.WORK}/", "./")  # where kernels and modules are built
DEADLINE_S = 60.0
MEMORY = 2048  # MiB of address space
KERNEL = "/klab/kernel"


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
    wanted: dict[tuple[int, int], tuple[str, str]] = {}  # (line, where in it): (file, what gdb is asked)
    for number, line in enumerate(text):
        for found in NAME.finditer(line):
            name, offset, size, module = found.groups()
            at = int(offset, 16) - (0 if AT.search(line) else 1)
            if module is None and (begin := _address(kernel, name, int(size, 16))) is not None:
                wanted[number, found.end()] = ("", f"info line *{begin + at:#x}")
            elif module in modules:
                wanted[number, found.end()] = (module, f"info line *((unsigned long)&'{name}' + {at})")
    try:
        files = {file for file, _ in wanted.values()}
        told = {file: _ask(kernel, modules.get(file), wanted, file) for file in files}
    except KlabError:
        return list(text)
    decoded = list(text)
    for (number, at), (file, asked) in sorted(wanted.items(), reverse=True):
        if place := told[file].get(asked):
            decoded[number] = f"{decoded[number][:at]} ({place}){decoded[number][at:]}"
    return decoded


def _ask(
    kernel: store.Entry, module: Path | None, wanted: Mapping[tuple[int, int], tuple[str, str]], file: str
) -> dict[str, str]:
    """{what gdb is asked of a file: the place that it names}. Raises KlabError when it cannot be run."""
    asked = sorted({ask for name, ask in wanted.values() if name == file})
    with tempfile.TemporaryDirectory(prefix="klab-decode-") as folder:
        if module:
            shutil.copyfile(module, Path(folder, "module"))
            shown, object_file = {}, "module"
        else:
            vmlinux = symbols.ensure(kernel)
            shown, object_file = {KERNEL: vmlinux.parent}, f"{KERNEL}/{symbols.NAME}"
        words = ["gdb", "-nx", "-batch", "-iex", "set auto-load no"]
        for ask in asked:
            words += ["-ex", f"echo \\n@{ask}\\n", "-ex", ask]
        said = sandbox.run(
            [*words, object_file], folder=Path(folder), deadline_s=DEADLINE_S, memory_mib=MEMORY,
            toolchain=symbols.ROOT, shows=shown,
        )  # fmt: skip
    places = {}
    for part in said.out.split("\n@")[1:]:
        ask, _, answer = part.partition("\n")
        if found := LINE.search(answer):
            path = found[2]
            for stem in STEM:
                path = path.removeprefix(stem)
            places[ask] = f"{path}:{found[1]}"
    return places
