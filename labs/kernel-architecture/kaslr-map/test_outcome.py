# SPDX-License-Identifier: GPL-3.0-or-later
"""The same kernel at several addresses and with both depths of page tables, mapped twice."""

import json
import struct

import pytest

from klab.testing import expect
from klab.testing.observe import RECORDER

SYMBOLS = ("_text", "_stext", "_etext", "_end", "page_offset_base", "vmalloc_base", "vmemmap_base")
# Documentation/arch/x86/x86_64/mm.rst: the regions with nokaslr, by levels.
FIXED = {
    4: {"direct_map": 0xFFFF888000000000, "vmalloc": 0xFFFFC90000000000, "vmemmap": 0xFFFFEA0000000000},
    5: {"direct_map": 0xFF11000000000000, "vmalloc": 0xFFA0000000000000, "vmemmap": 0xFFD4000000000000},
}
USER_BITS = {4: 47, 5: 56}
PAGE, STRUCT_PAGE = 4096, 64
KERNEL_MAP = 0xFFFFFFFF80000000
NONE = (1 << 64) - 1  # p_paddr of what has no physical address
SCRIPT = r"""
cd /klab; mkdir -p out
cat /proc/kallsyms >/tmp/all; grep -E ' [a-zA-Z] (SYMBOLS)$' /tmp/all >out/symbols
dd if=/proc/kcore of=out/kcore bs=4096 count=16 2>/dev/null
for n in 1 2 3; do sleep 1000 & pids="$pids $!"; done; sleep 1
for p in $pids; do cp /proc/$p/maps out/maps-$p; done
echo 0 >/proc/sys/kernel/kptr_restrict
./kmap System.map $pids >out/map; echo "status $?"
echo 2 >/proc/sys/kernel/kptr_restrict
./kmap System.map >out/hidden 2>/dev/null; echo "hidden $?"
""".replace("SYMBOLS", "|".join(SYMBOLS))
# What each guest is. fresh: at addresses where no check before has seen it.
GUESTS = {
    "plain": {},
    "nokaslr": {"cmdline": "nokaslr"},
    "no5lvl": {"cpu": "la57=on", "cmdline": "no5lvl"},
    "five-levels": {"cpu": "la57=on", "fresh": True},
}
LEVELS = {"plain": 4, "nokaslr": 4, "no5lvl": 4, "five-levels": 5}


@pytest.fixture(scope="module")
def linked(lab):
    """Where the kernel was linked to, and the lines that tell of it."""
    lines = lab.kernel().file("System.map").read_text().splitlines()
    chosen = [line for line in lines if line.split()[-1] in SYMBOLS]
    lab.random.shuffle(chosen)
    return {line.split()[2]: int(line.split()[0], 16) for line in chosen}, "\n".join(chosen) + "\n"


@pytest.fixture(scope="module")
def seen(lab, guest, linked):
    """{guest: what it left and what it printed}; each boots when it is asked for."""
    files = {"klab/kmap": lab.make().file("kmap"), "klab/System.map": linked[1]}
    known = {}

    def of(name):
        if name not in known:
            known[name] = guest(SCRIPT, files=files, **GUESTS[name])
        return known[name]

    return of


def loads(kcore):
    """(virtual address, physical address, size) of each PT_LOAD in an ELF file's head."""
    at, count = struct.unpack_from("<Q", kcore, 32)[0], struct.unpack_from("<H", kcore, 56)[0]
    heads = [struct.unpack_from("<IIQQQQQQ", kcore, at + 56 * n) for n in range(count)]
    return [(vaddr, paddr, memsz) for kind, _, _, vaddr, paddr, _, memsz, _ in heads if kind == 1]


def truth(name, ran, linked):
    """The map as /proc/kcore's segments have it."""
    if {"kcore", "symbols"} - set(ran.results):
        expect.cannot_tell(
            f"the guest {name} has not left what it saw", look=ran.output.decode(errors="replace")
        )
    shown = {
        line.split()[2]: int(line.split()[0], 16) for line in ran.results["symbols"].decode().splitlines()
    }
    segments, text = loads(ran.results["kcore"]), shown["_stext"]
    ram = [(v, p) for v, p, size in segments if p != NONE and not v <= text < v + size]
    rest = [(v, size) for v, p, size in segments if p == NONE and v < KERNEL_MAP]
    vmalloc = next((v for v, size in rest if size >> 44), 0)
    pages = [v for v, size in rest if v != vmalloc]
    modules = [v for v, p, size in segments if v > KERNEL_MAP and p == NONE and size > PAGE]
    if not (ram and vmalloc and pages and len(modules) == 1 and len({v - p for v, p in ram}) == 1):
        expect.cannot_tell(f"/proc/kcore of the guest {name} is not as it was", look=segments)
    first = min(p for _, p in ram) // PAGE * STRUCT_PAGE // PAGE * PAGE
    levels = LEVELS[name]
    found = {
        "text": text,
        "direct_map": ram[0][0] - ram[0][1],
        "vmalloc": vmalloc,
        "vmemmap": min(pages) - first,
    }
    fixed = {"text": linked["_stext"], **FIXED[levels]}
    moved = [region for region in found if found[region] != fixed[region]]
    if (found["direct_map"] < FIXED[4]["direct_map"]) != (levels == 5) or (name == "nokaslr") == bool(moved):
        expect.cannot_tell(f"the guest {name} has not the layout that it should have", look=found)
    more = {
        "slide": text - linked["_stext"],
        "modules": modules[0],
        "user_end": (1 << USER_BITS[levels]) - PAGE,
    }
    return levels, {**found, **more}, moved


def highest(ran):
    """{PID: end of the highest mapping below the kernel} of the processes that the guest listed."""
    maps = {
        file.removeprefix("maps-"): text for file, text in ran.results.items() if file.startswith("maps-")
    }
    ends = {
        pid: [int(line.split()[0].split("-")[1], 16) for line in text.decode().splitlines()]
        for pid, text in maps.items()
    }
    return {pid: max(end for end in those if not end >> 63) for pid, those in ends.items()}


def answer(name, ran):
    """What kmap printed, as data."""
    text = ran.results.get("map", b"").decode(errors="replace")
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    expect.holds(
        isinstance(said, dict),
        f"{name}: kmap prints a JSON object",
        observed=text or ran.output.decode(),
        expected="one object",
        look="main()",
    )
    return said


def number(value):
    """An address as the comment of kmap.c wants it."""
    try:
        return int(value, 16)
    except (TypeError, ValueError):
        return value


def test_two_boots_two_maps(seen):
    first, other = (number((answer(name, seen(name))).get("direct_map")) for name in ("plain", "no5lvl"))
    expect.holds(
        first != other,
        "two boots with KASLR, two maps",
        observed=f"{first} and {other}",
        expected="different addresses",
        look="kmap.c: is an address written down there?",
    )


def test_it_does_not_believe_zeros(seen):
    ran = seen("plain")
    said = ran.output.decode(errors="replace").splitlines()
    expect.holds(
        "hidden 2" in said and not ran.results.get("hidden", b"").strip(),
        "where /proc/kallsyms hides addresses, kmap prints nothing and exits with 2",
        observed=[*said, ran.results.get("hidden", b"").decode(errors="replace")],
        expected="exit status 2",
        look="kptr_restrict: /proc/kallsyms gives zeros, and no error",
    )


@pytest.mark.parametrize("name", GUESTS)
def test_the_map(seen, linked, name):
    if GUESTS[name].get("fresh") and not RECORDER.good:
        expect.cannot_tell("the guest with five levels boots when all else is right")
    ran = seen(name)
    levels, regions, moved = truth(name, ran, linked[0])
    said = answer(name, ran)
    expect.equal(
        said.get("levels"),
        levels,
        f"{name}: levels of page tables in use",
        look="what the processor could do is not what the kernel does",
    )
    for region, place in regions.items():
        got = number(said.get(region))
        expect.holds(
            got == place,
            f"{name}: {region}",
            observed=hex(got) if isinstance(got, int) else got,
            expected=hex(place),
            look="kmap.c; Documentation/arch/x86/x86_64/mm.rst",
        )
    expect.equal(
        sorted(said.get("moved") or []), sorted(moved), f"{name}: what has moved", look="main(): moved"
    )
    ends = {pid: number(end) for pid, end in (said.get("highest") or {}).items()}
    expect.equal(
        {pid: hex(end) if isinstance(end, int) else end for pid, end in ends.items()},
        {pid: hex(end) for pid, end in highest(ran).items()},
        f"{name}: the end of each process's highest mapping",
        look="highest(): [vsyscall] is the kernel's",
    )
