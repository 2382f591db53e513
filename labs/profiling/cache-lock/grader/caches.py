# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces by lot, and what travels in them."""

LINE = 64


def trace(r):
    """Uses of memory of all kinds, as lines of text."""
    base = r.randrange(1 << 20, 1 << 34) * LINE
    uses = []

    def use(who, kind, line, place, count):
        uses.append(f"{who} {kind} {base + line * LINE + place:#x} {count}")

    # Of each line what it is used for, so that each kind of sharing is there.
    for line in range(0, 24, 2):
        what = r.choice(("apart", "apart", "one", "read", "mixed", "across"))
        for _ in range(r.randrange(20, 90)):
            who = r.randrange(5)
            kind = r.choice("rw")
            if what == "apart":
                use(who, kind, line, who * 12 + r.randrange(5), r.choice((1, 2, 4, 8)))
            elif what == "one":
                use(4, kind, line, r.randrange(56), 8)
            elif what == "read":
                use(who, "r" if len(uses) % 7 else "w", line, r.randrange(60), 4)
            elif what == "mixed":
                use(who, kind, line, r.randrange(48), 16)
            else:
                use(who, kind, line, r.randrange(56, 64), r.choice((8, 16)))
    # Lines take turns, but in each of them the order stays.
    r.shuffle(uses)
    return "\n".join(uses) + "\n"


def travels(text):
    """{line: (transfers, shared)} of the lines that travel."""
    copies, transfers, wrote, used = {}, {}, {}, {}
    for who, kind, address, count in map(str.split, text.splitlines()):
        places = [int(address, 16) + n for n in range(int(count))]
        for line in sorted({place // LINE for place in places}):
            had = copies.get(line, frozenset())
            got = bool(had - {who}) and (kind == "w" or who not in had)
            transfers[line] = transfers.get(line, 0) + got
            copies[line] = frozenset({who}) if kind == "w" else had | {who}
        for place in places:
            used.setdefault(place, set()).add(who)
            if kind == "w":
                wrote.setdefault(place, set()).add(who)
    shared = {place // LINE for place in wrote if len(used[place]) > 1}
    return {line * LINE: (n, line in shared) for line, n in transfers.items() if n}
