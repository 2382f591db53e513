# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks by lot, as `perf script` shows them and folded; and what a picture of them must look like."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

NAMES = ("main", "serve", "parse", "run", "std::vector<int, std::allocator<int> >::push_back(int const&)",
         "operator<", 'say "yes" & go', "a::b(char*, int)", "read", "poll")  # fmt: skip
FILES = (
    "/usr/bin/work",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/opt/my things/lib one.so",
    "/srv/x (deleted)",
)
KERNEL = ("do_syscall_64", "vfs_read", "entry_SYSCALL_64_after_hwframe", "handle_mm_fault")
MODULES = ("[kernel.kallsyms]", "[xfs]")
THREADS = ("work", "worker 7", "a 7.5 b", "kworker/u8:1-ev")
HEADER = re.compile(r"^(.+?) +\d+ +(?:\[\d+\] +)?\d+\.\d+: ")
FRAME = re.compile(r"^\s+([0-9a-f]+) (?:(\[unknown\])|(.+)\+0x[0-9a-f]+) \((.*)\)$")


def _frame(r):
    """One frame: (its line, its name)."""
    if r.random() < 0.3:
        name, file = r.choice(KERNEL), r.choice(MODULES)
        if r.random() < 0.15:
            return f"\tffffffff{r.getrandbits(31):08x} [unknown] ({file})", f"{file}_[k]"
        return f"\tffffffff{r.getrandbits(31):08x} {name}+0x{r.randrange(999):x} ({file})", f"{name}_[k]"
    address = f"\t    {r.getrandbits(46):12x}"
    if r.random() < 0.15:
        return f"{address} [unknown] ([unknown])", "[unknown]"
    if r.random() < 0.2:
        file = r.choice(FILES[:3])
        return f"{address} [unknown] ({file})", f"[{file.rpartition('/')[2]}]"
    if r.random() < 0.1:
        return f"{address} __vdso_gettimeofday+0x{r.randrange(999):x} ([vdso])", "__vdso_gettimeofday"
    name = r.choice(NAMES)
    return f"{address} {name}+0x{r.randrange(9999):x} ({r.choice(FILES)})", name


def script(r):
    """(text of `perf script`, {stack: samples})."""
    kinds = [(r.choice(THREADS), [_frame(r) for _ in range(r.randrange(1, 7))]) for _ in range(12)]
    kinds += [(thread, frames[1:]) for thread, frames in kinds[:3]] + [(THREADS[0], kinds[-1][1])]
    lines, found = [], {}
    for _ in range(90):
        thread, frames = r.choice(kinds)
        cpu = f"[{r.randrange(8):03d}] " if r.random() < 0.3 else ""
        lines.append(
            f"{thread:>4} {r.randrange(1, 9999):7d} {cpu}{r.uniform(1, 999):12.6f}:    2500000 cpu-clock: "
        )
        # The same function at another place of it is still the same.
        lines += [re.sub(r"\+0x\w+ \(", f"+0x{r.randrange(1, 999):x} (", line) for line, _ in frames]
        lines.append("")
        stack = ";".join([thread, *(name for _, name in reversed(frames))])
        found[stack] = found.get(stack, 0) + 1
    return "\n".join(lines) + "\n", found


def folded(text):
    """{stack: samples} of what `perf script` shows."""
    found = {}
    for block in text.split("\n\n"):
        head, *rest = block.strip("\n").split("\n")
        if not (named := HEADER.match(head)):
            continue
        frames = []
        for address, _, name, file in (line.groups() for line in map(FRAME.match, rest) if line):
            known = name or f"[{file.rpartition('/')[2].strip('[]')}]"
            frames.append(known + ("_[k]" if int(address, 16) >> 63 else ""))
        stack = ";".join([named[1].strip(), *reversed(frames)])
        found[stack] = found.get(stack, 0) + 1
    return found


def forest(r, base=None):
    """{stack: samples} by lot; base: the stacks of another run, some of them gone, most of them changed."""
    if base:
        left = {stack: r.randrange(1, 900) for stack in base if r.random() < 0.8}
        return {**left, **{stack: r.randrange(1, 900) for stack in forest(r) if r.random() < 0.3}}
    names = [*NAMES, *(f"{name}_[k]" for name in KERNEL)]
    stacks = [[r.choice(THREADS), *r.choices(names, k=r.randrange(1, 7))] for _ in range(12)]
    # Others begin alike, end earlier, or call themselves.
    stacks += [[*s[: r.randrange(1, len(s) + 1)], *r.choices(names, k=r.randrange(3))] for s in stacks]
    stacks += [[*s, s[-1], s[-1]] for s in stacks[:2]]
    return {";".join(stack): r.randrange(1, 300) for stack in stacks}


def lines(r, stacks):
    """A file of these stacks, in any order."""
    found = [f"{stack} {count}\n" for stack, count in stacks.items()]
    r.shuffle(found)
    return "".join(found)


def tree(stacks):
    """{path: samples} of all boxes; the lowest one is ("all",)."""
    found = {}
    for stack, count in stacks.items():
        path = ("all", *stack.split(";"))
        for end in range(1, len(path) + 1):
            found[path[:end]] = found.get(path[:end], 0) + count
    return found


@dataclass
class Box:
    """A box of a picture. change: in percent of all samples, None where the title says nothing of it."""

    name: str
    count: int
    part: float
    change: float | None
    x: float
    y: float
    width: float
    fill: list[int] = field(default_factory=list)


TITLE = re.compile(r"^(.*) \((\d+) samples?, ([\d.]+)%(?:, ([+-]?[\d.]+)%)?\)$", re.S)


def boxes(text):
    """The boxes of an SVG. Raises ValueError when it is none, or a box is not as agreed."""
    try:
        picture = ET.fromstring(text)  # noqa: S314 - expat refuses entities that grow
    except ET.ParseError as error:
        raise ValueError(f"no XML: {error}") from error
    space = picture.tag.rpartition("}")[0] + "}" if "}" in picture.tag else ""
    found = []
    for group in picture.iter(f"{space}g"):
        title, rect = group.find(f"{space}title"), group.find(f"{space}rect")
        if title is None or rect is None:
            continue
        told = TITLE.match(title.text or "")
        if not told:
            raise ValueError(f"a box's title is {title.text!r}")
        x, y, width = (float(rect.get(key, "nan")) for key in ("x", "y", "width"))
        fill = [int(float(number)) for number in re.findall(r"[\d.]+", rect.get("fill", ""))]
        change = float(told[4]) if told[4] else None
        found.append(Box(told[1], int(told[2]), float(told[3]), change, x, y, width, fill))
    if not any(box.name == "all" for box in found):
        raise ValueError(f"{len(found)} boxes, and none of them is `all`")
    return found


def placed(found):
    """{path: box}, by what lies upon what; a box that lies upon nothing has a path that begins with None."""
    rows = sorted({round(box.y, 2) for box in found}, reverse=True)
    paths, below = {}, []
    for row in rows:
        here = []
        for box in (b for b in found if round(b.y, 2) == row):
            middle = box.x + box.width / 2
            under = next((p for p, b in below if b.x <= middle <= b.x + b.width), (None,))
            path = (box.name,) if row == rows[0] else (*under, box.name)
            # Two boxes of the same name upon the same one.
            while path in paths:
                path = (*path[:-1], f"{path[-1]} once more")
            paths[path] = box
            here.append((path, box))
        below = here
    return paths
