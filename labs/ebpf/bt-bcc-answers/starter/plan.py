#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan.py [SEED]: a day of the service, drawn by lot. Complete.

A step a line, as service.c reads it: PROCESS THREAD VERB WHAT SIZE TIMES. Names say nothing of what
somebody does, and to each question there are answers that come near.
"""

import random
import sys

PROCESSES = ["baker", "cooper", "fuller", "glover", "mason", "miller", "potter", "sawyer", "tanner", "weaver"]
THREADS = [
    *("adze", "anvil", "auger", "bellows", "bobbin", "bodkin", "chisel", "distaff", "file", "froe", "gimlet"),
    *("hammer", "kiln", "ladle", "last", "loom", "mallet", "needle", "plane", "rasp", "reed", "shears"),
    *("shuttle", "spindle", "tongs", "trowel", "vat", "vice"),
]
FILES = [
    "almanac",
    "bill",
    "bond",
    "census",
    "charter",
    "deed",
    "index",
    "ledger",
    "list",
    "pledge",
    "tariff",
]
CALLS = ["poll", "ppoll", "select", "pselect6", "rt_sigtimedwait", "epoll_wait", "recvfrom"]
SITES = ["carve", "glaze", "knit", "plough", "solder", "thresh"]


def day(r):
    """The plan of a day. r: a random.Random."""
    names = r.sample(PROCESSES, 5)
    threads = iter(r.sample(THREADS, len(THREADS)))
    steps = []

    def thread(process, *own):
        """One more thread, and what it does: (verb, what, size, times) each."""
        name = next(threads)
        steps.extend(f"{process} {name} {' '.join(map(str, step))}" for step in own)

    for draw in (calls, writes, opens, sites, queue, children):
        draw(r, r.sample(names, 4), thread)
    return "".join(f"{line}\n" for line in steps)


def calls(r, names, thread):
    """One call is slow, one takes longest in all, one has the slowest time of all, one is made most often."""
    slow, many, once, often = r.sample(CALLS, 4)
    size, part = 1000 * r.randrange(180, 240), 1000 * r.randrange(45, 60)
    for one in r.sample(
        [
            [("wait", slow, size, 6)],
            [("wait", many, part, 1 + 8 * size // part)],
            [("wait", once, 450_000, 1), ("wait", once, 3000, 25), ("wait", often, 1000, 60)],
        ],
        3,
    ):
        thread(names[0], *one)


def writes(r, names, thread):
    """Two threads together write most, a third one more than each of them, a fourth one only asks for it."""
    size, times = r.randrange(20_000, 60_000), r.randrange(20, 30)
    part = (5 * times + 7) // 8
    plain = ("write", "null", size // 9, 5)
    thread(names[0], plain, ("write", "parts", size, part))
    thread(names[0], ("write", "place", size, part), plain)
    thread(names[1], ("write", "null", size, times))
    thread(names[2], ("write", "null", size // 7, times), ("write", "full", 4 * size, times))
    thread(names[2], ("write", "pipe", 100_000, 2))


def opens(r, names, thread):
    """One file is opened most, in several ways; another one is asked for more often, and is not there."""
    most, more, few, missing = (f"/tmp/{name}" for name in r.sample(FILES, 4))  # noqa: S108 - nothing secret
    missing += ".old"  # no day makes one of these
    n = r.randrange(8, 12)
    thread(names[0], ("openat", most, 0, n), ("miss", missing, 0, 4 * n), ("open", few, 0, 3))
    thread(names[1], ("open", most, 0, n - 1), ("openat2", most, 0, n - 2), ("miss", missing, 0, n))
    thread(names[2], ("openat", more, 0, 2 * n - 1), ("openat", few, 0, 4))


def sites(r, names, thread):
    """One site takes most, sixteen blocks at a time; others the largest one, most of them, nearly as much."""
    most, near, large, often = r.sample(SITES, 4)
    size, times = r.randrange(300, 500), r.randrange(20, 30)
    near_size = r.randrange(2000, 3000)
    own = [
        ("many", most, size, times),
        ("take", near, near_size, 12 * size * times // near_size),
        ("take", large, r.randrange(40_000, 60_000), 1),
        ("take", often, r.randrange(30, 60), 250),
        ("many", often, r.randrange(8, 20), 20),
    ]
    thread(names[0], *r.sample(own, len(own)))


def queue(r, names, thread):
    """One is put off for long, one is late most often, one is late for long once."""
    for one in r.sample(
        [
            ("pushed", "-", 1000 * r.randrange(40, 46), 10),
            ("late", "-", 1000 * r.randrange(6, 9), 11),
            ("late", "-", 1000 * r.randrange(90, 110), 1),
        ],
        3,
    ):
        thread(names[0], one)


def children(r, names, thread):
    """Two threads together have most short-lived children; others fewer, or long-lived ones, or threads."""
    n = r.randrange(3, 5)
    thread(names[0], ("children", "-", r.randrange(20), n))
    thread(names[0], ("children", "-", r.randrange(20), n - 1))
    thread(names[1], ("children", "-", r.randrange(20), n + 1), ("children", "-", 900, 2))
    thread(names[2], ("children", "-", 1000, 2 * n))
    thread(names[3], ("threads", "-", 0, 2 * n + 2))


if __name__ == "__main__":
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else None
    print(day(random.Random(seed)), end="")  # noqa: S311 - nothing secret
