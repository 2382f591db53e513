# SPDX-License-Identifier: GPL-3.0-or-later
"""Random sizes; what the module says against what the kernel itself shows of them."""

import struct

import pytest

from klab.testing import expect
from klab.testing.guests import LEAKS
from klab.testing.observe import RECORDER

PAGE = 4096
LARGEST_CACHE = 2 * PAGE  # bytes; what is larger, kmalloc takes as whole pages
MIB = 1 << 20
KMALLOC_MAX = 4 * MIB  # bytes that kmalloc gives at most
SLAB, HEAD = 1 << 7, 1 << 15  # /proc/kpageflags
OTHERS = 1 << 10 | 1 << 32  # free, and reserved by grader/scatter.c
BOXES = 150
LOOKED = 16  # lines, in /proc/kpageflags
FLAGS = "flags"

SCRIPT = """
cd /klab; f=/proc/allocx; s=/sys/kernel/slab/allocx_box; o=/klab/out
insmod scatter.ko || exit 1
insmod allocx.ko box_size={size} box_align={align} || exit 1
while read -r line; do {{ echo "$line" >$f; }} 2>&1; done <commands
cat $f >$o/rows
grep allocx /proc/vmallocinfo >$o/areas
for c in /sys/kernel/slab/kmalloc-*; do echo "${{c##*/}} $(cat $c/object_size)"; done >$o/caches
for name in object_size align total_objects ctor; do echo "$name $(cat $s/$name)"; done >$o/box 2>&1
echo "constructed $(cat /sys/module/allocx/parameters/constructed)" >>$o/box
head -n {looked} $o/rows >looked
while read -r kind size usable linear first rest; do
  # Where memory is one piece only virtually, the second one tells as much as the last.
  next=; [ $linear = 1 ] || next=${{rest%% *}}
  for frame in $first $next ${{rest##* }}; do
    dd if=/proc/kpageflags bs=8 skip=$frame count=1 2>/dev/null
  done >$o/{flags}-$((n=n+1))
done <looked
echo free >$f; cat $f >$o/left; grep allocx /proc/vmallocinfo >>$o/left
rmmod allocx >>$o/left 2>&1; ls -d $s >>$o/left 2>/dev/null
cat /proc/slabinfo >slabinfo; cp slabinfo made-up $o/
for name in slabinfo made-up; do awk -f waste.awk $name >$o/waste-$name 2>&1; done
k=/sys/kernel/debug/kmemleak; mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
[ ! -e $k ] || {{ sleep 6; echo scan >$k && echo scan >$k && head -n 12 $k >/dev/console; }}
true
"""


def commands(rnd):
    """[(kind, size)] with each kind, small and large."""
    small = [rnd.randrange(1, 97), rnd.randrange(97, 1025), rnd.randrange(1025, LARGEST_CACHE)]
    large = [rnd.randrange(LARGEST_CACHE + 1, 64 << 10), rnd.randrange(64 << 10, 256 << 10)]
    wanted = [("kmalloc", size) for size in (*small, *large)]
    wanted += [("atomic", rnd.randrange(1, PAGE)), ("kvmalloc", rnd.randrange(1, PAGE))]
    # Memory of this size is mapped by 2 MiB at a time where that is possible: as much, either way.
    wanted += [("kvmalloc", 6 * MIB - rnd.randrange(PAGE))]
    wanted += [("vmalloc", rnd.randrange(1, PAGE)), ("vmalloc", rnd.randrange(64 << 10, 256 << 10))]
    wanted += [("pages", size) for size in (rnd.randrange(1, PAGE), large[0])]
    rnd.shuffle(wanted)
    return wanted


def made_up(rnd):
    """A slabinfo as no system has it."""
    lines = [
        "slabinfo - version: 2.1",
        "# name <active_objs> : tunables <limit> : slabdata <active_slabs>",
    ]
    for number in range(12):
        pages, slabs, size = 1 << rnd.randrange(4), rnd.randrange(1, 500), rnd.randrange(8, 1400)
        each = pages * PAGE // size
        active = rnd.randrange(each * slabs + 1)
        lines.append(f"cache-{number} {active} {each * slabs} {size} {each} {pages} : tunables 0 0 0"
                     f" : slabdata {slabs} {slabs} 0")  # fmt: skip
    return "".join(f"{line}\n" for line in lines)


def worst(slabinfo):
    """{name: wasted bytes} of all caches."""
    rows = [line.split() for line in slabinfo.splitlines() if " : slabdata " in line and line[0] != "#"]
    return {r[0]: int(r[14]) * int(r[5]) * PAGE - int(r[1]) * int(r[3]) for r in rows}


def whole_pages(size):
    return -(-size // PAGE) * PAGE


def pages(size):
    """Bytes of as many pages as alloc_pages gives for `size`."""
    return PAGE << max(0, (-(-size // PAGE) - 1).bit_length())


class Run:
    """What a guest left."""

    def __init__(self, lab, guest, flavour, *, boxes, looked, **place):
        rnd = lab.random
        makefile = (lab.spec.starter / "Makefile").read_text().replace("obj-m :=", "obj-m := scatter.o")
        more = {"scatter.c": lab.spec.folder / "grader/scatter.c", "Makefile": makefile}
        built = lab.restored(more).make(kernel=flavour)
        self.align = 1 << rnd.randrange(3, 8)
        self.size = rnd.randrange(24, 700)
        self.wanted = [*commands(rnd), *[("box", self.size)] * boxes]
        sent = "".join(f"{kind} {0 if kind == 'box' else size}\n" for kind, size in self.wanted)
        files = {"klab/allocx.ko": built.file("allocx.ko"), "klab/scatter.ko": built.file("scatter.ko"),
                 "klab/waste.awk": built.file("waste.awk"),
                 "klab/commands": sent, "klab/made-up": made_up(rnd)}  # fmt: skip
        script = SCRIPT.format(size=self.size, align=self.align, flags=FLAGS, looked=looked)
        ran = guest(script, files=files, kernel=flavour, **place)
        self.left = {
            name: data.decode(errors="replace") for name, data in ran.results.items() if FLAGS not in name
        }
        self.raw = ran.results
        self.rows = [
            (kind, *map(int, rest)) for kind, *rest in map(str.split, self.left.get("rows", "").splitlines())
        ]
        seen = [row[:2] for row in self.rows]
        expect.equal(seen, self.wanted, "each command takes memory, and has its line",
                     look=f"take; {ran.output.decode(errors='replace')[-300:]}")  # fmt: skip


@pytest.fixture(scope="module")
def run(lab, guest):
    return Run(lab, guest, "lab", boxes=BOXES, looked=LOOKED)


def test_usable(run):
    caches = sorted(int(line.split()[1]) for line in run.left["caches"].splitlines())
    for kind, size, usable, *_ in run.rows[: len(run.wanted) - BOXES]:
        if kind == "vmalloc" or (kind == "kvmalloc" and size > KMALLOC_MAX):
            right = whole_pages(size)
        elif kind == "pages" or size > LARGEST_CACHE:
            right = pages(size)
        else:
            right = next(cache for cache in caches if cache >= size)
        expect.equal(
            usable,
            right,
            f"bytes that may be used of {kind} {size}",
            look="usable; /sys/kernel/slab/kmalloc-*",
        )


def test_one_piece(run):
    for kind, size, _, linear, *frames in run.rows[: len(run.wanted) - BOXES]:
        virtual = kind == "vmalloc" or (kind == "kvmalloc" and size > KMALLOC_MAX)
        expect.equal(
            linear, int(not virtual), f"whether {kind} {size} is physically one piece", look="linear"
        )
        enough = -(-size // PAGE)
        expect.holds(enough <= len(frames) <= enough + 1, f"{kind} {size} has its frames",
                     observed=f"{len(frames)} frames", expected=f"{enough}", look="allocx_show")  # fmt: skip
    whole = [row for row in run.rows if row[0] in ("vmalloc", "pages") or row[1] > LARGEST_CACHE]
    own = [frame for row in whole for frame in row[4:]]
    expect.equal(
        len(own),
        len(set(own)),
        "no page frame is given twice",
        look="frame: which addresses may be computed?",
    )


def test_frames_are_what_the_kernel_says(run):
    for number, (kind, size, *_) in enumerate(run.rows[:LOOKED], 1):
        data = run.raw.get(f"{FLAGS}-{number}", b"")
        flags = struct.unpack(f"={len(data) // 8}Q", data)
        cached = kind == "box" or (kind in ("kmalloc", "atomic", "kvmalloc") and size <= LARGEST_CACHE)
        fine = bool(flags) and all(bool(f & SLAB) == cached and not f & OTHERS for f in flags)
        if kind == "kmalloc" and size > LARGEST_CACHE:
            fine = fine and bool(flags[0] & HEAD)
        if not fine:
            seen = [hex(f) for f in flags]
            expect.fail(f"the frames of {kind} {size} are what they should be", observed=f"kpageflags {seen}",
                        expected="a slab's page" if cached else "a page in use, of no slab",
                        look="frame")  # fmt: skip
    expect.holds(True, "the frames are what /proc/kpageflags shows", observed="", expected="", look="")


def test_areas(run):
    sizes = sorted(int(line.split()[1]) for line in run.left["areas"].splitlines() if "pages=" in line)
    virtual = [usable for _, _, usable, linear, *_ in run.rows if not linear]
    # vmalloc keeps the list of an area's pages in an area of its own, when it is longer than a page.
    lists = [whole_pages(usable // PAGE * 8) for usable in virtual if usable // PAGE * 8 > PAGE]
    right = sorted(size + PAGE for size in (*virtual, *lists))
    expect.equal(sizes, right, "/proc/vmallocinfo has the lines with LINEAR 0, each with a guard page",
                 look="take: vmalloc, kvmalloc; usable")  # fmt: skip


def test_own_cache(run):
    box = dict(line.partition(" ")[::2] for line in run.left["box"].splitlines())
    expect.equal(box.get("object_size"), str(run.size), "the objects of allocx_box have box_size bytes",
                 look="/sys/kernel/slab/allocx_box; kmem_cache_create")  # fmt: skip
    expect.equal(box.get("align"), str(run.align), "and the alignment box_align", look="kmem_cache_create")
    expect.holds("[allocx]" in box.get("ctor", ""), "the cache has a constructor of this module",
                 observed=box.get("ctor"), expected="a function", look="kmem_cache_create")  # fmt: skip
    total = box.get("total_objects", "").split()[:1]
    expect.equal([box.get("constructed")], total, "each object in a slab was constructed once",
                 look="the constructor; who else counts?")  # fmt: skip


def test_nothing_is_left(run):
    expect.equal(run.left["left"], "", "after free and rmmod nothing is left: no line, no area, no cache",
                 look="give_back, allocx_exit")  # fmt: skip


@pytest.mark.parametrize("name", ["slabinfo", "made-up"])
def test_waste(run, name):
    right = worst(run.left[name])
    said = [line.split() for line in run.left[f"waste-{name}"].splitlines()]
    values = sorted(right.values(), reverse=True)[:5]
    expect.equal([words[1:] for words in said], [[str(value)] for value in values],
                 f"the wasted bytes of the worst five, of {name}", look="waste.awk")  # fmt: skip
    wrong = [words for words in said if right.get(words[0]) != int(words[1])]
    expect.equal(wrong, [], f"their names, of {name}", look="waste.awk")


@pytest.mark.flavour("san")
def test_silent_on_san(lab, guest):
    """The same where each access, each lock and each leak is watched."""
    if not RECORDER.good:
        expect.cannot_tell("whether it is silent under san is looked at when all else passes")
    seen = Run(lab, guest, "san", boxes=9, looked=1, deadline_s=400, **LEAKS)
    test_nothing_is_left(seen)
