# SPDX-License-Identifier: GPL-3.0-or-later
"""What each program computes, in Python; and inputs at random, edges among them.

Each function takes a random.Random and gives the steps of run.py with what each must answer.
"""

import struct

HEADER, LANES, GRADES, PART, LINKS, NUMBERS = 14, 5, 11, 280, 100, 8
LIMIT = 1 << 32


def word(*values):
    return struct.pack(f"<{len(values)}I", *values)


class Steps:
    """Collects steps, and what is expected of them: [(step, answer, in words what was done)]."""

    def __init__(self, rnd):
        self.rnd, self.all = rnd, []

    def u32(self):
        return self.rnd.getrandbits(32)

    def put(self, name, key, value):
        self.all.append((["put", name, key.hex(), value.hex()], value.hex(), f"an element of map {name}"))

    def get(self, name, key, value, what):
        self.all.append((["get", name, key.hex()], value if value is None else value.hex(), what))

    def frame(self, body, result, what, *, more=True):
        """Run with a frame; more: something stands behind what the program reads."""
        tail = self.rnd.randbytes(self.rnd.randrange(1, 40)) if more else b""
        data = self.rnd.randbytes(HEADER) + body + tail
        self.all.append((["run", data.hex()], [0, result % LIMIT, ""], what))

    def short(self, size, result=0):
        """Frames that end too early: the shortest one, and one byte before the end."""
        for length in (0, size - 1):
            what = f"a frame with {length} bytes behind its header"
            self.frame(self.rnd.randbytes(length), result, what, more=False)


def price(s):
    items = s.rnd.sample(range(1, LIMIT), 8)
    prices = {item: s.u32() for item in items[:5]} | {items[5]: 0}
    for item, each in prices.items():
        s.put("prices", word(item), word(each))
    for usual in (None, s.rnd.randrange(2, LIMIT)):
        if usual is not None:
            s.put("prices", word(0), word(usual))
            prices[0] = usual
        for item in [*items, 0]:
            amount = s.rnd.randrange(1, LIMIT)
            kind = "with" if item in prices else "without"
            what = f"an item {kind} a price, while item 0 has {'none' if usual is None else 'one'}"
            s.frame(word(item, amount), prices.get(item, usual or 0) * amount, what)
    s.frame(word(items[0], 3), 3 * prices[items[0]], "a frame that ends right behind the amount", more=False)
    s.short(8)


def grades(s):
    counts = [s.rnd.randrange(1000) for _ in range(GRADES)]
    s.put("counted", word(0), word(*counts))
    for points in [0, 9, 10, 99, 100, 109, 110, 119, 120, 255, *s.rnd.choices(range(256), k=10)]:
        grade = min(points // 10, GRADES - 1)
        counts[grade] += 1
        s.frame(bytes([points]), counts[grade], f"{points} points", more=s.rnd.random() < 0.5)
    s.short(1)
    s.get("counted", word(0), word(*counts), "the map afterwards")


def visits(s):
    def key(gate, visitor):
        return struct.pack("<B3xI", gate, visitor)

    people = [(s.rnd.randrange(256), s.u32()) for _ in range(5)]
    people.append((people[0][0], people[1][1]))
    times = {people[0]: s.rnd.randrange(1, 1000), people[1]: s.rnd.randrange(1, 1000)}
    for who, count in times.items():
        s.put("visited", key(*who), word(count))
    for who in [*people, *s.rnd.choices(people, k=12)]:
        times[who] = times.get(who, 0) + 1
        what = f"visit {times[who]} of one who is in the map" if times[who] > 1 else "a first visit"
        s.frame(struct.pack("<BI", *who), times[who], what, more=s.rnd.random() < 0.5)
    s.short(5)
    for who, count in times.items():
        s.get("visited", key(*who), word(count), "the map afterwards, keys with 0 where nothing stands")


def follow(frame):
    at, made = HEADER, 0
    for _ in range(LINKS):
        if not at or at + 4 > len(frame):
            break
        at, value = struct.unpack_from("<HH", frame, at)
        made = 31 * made + value
    return made


def chain(s):
    def linked(count, last, size):
        frame = bytearray(s.rnd.randbytes(HEADER + 4 * size))
        places = [HEADER, *s.rnd.sample(range(HEADER + 4, len(frame) - 3, 4), count - 1)]
        for place, goes in zip(places, [*places[1:], last(places, frame)], strict=True):
            struct.pack_into("<HH", frame, place, goes, s.rnd.randrange(1, 1 << 16))
        return bytes(frame)

    ends = {
        "whose last link says 0": lambda *_: 0,
        "whose last link leads out of the frame": lambda _, frame: len(frame) + s.rnd.randrange(9),
        "whose last link leads to the last 3 bytes": lambda _, frame: len(frame) - 3,
        "that leads back into itself": lambda places, _: s.rnd.choice(places),
    }
    for count in (1, 2, s.rnd.randrange(3, 60), LINKS - 1, LINKS, LINKS + 1, s.rnd.randrange(150, 300)):
        for what, last in ends.items():
            frame = linked(count, last, count + s.rnd.randrange(1, 20))
            s.all.append(
                (["run", frame.hex()], [0, follow(frame) % LIMIT, ""], f"a chain of {count} links {what}")
            )
    s.short(4)


def report(s):
    for _ in range(2):
        records = []
        for good in s.rnd.sample([True, False], counts=[20, 15], k=35):
            meter, value = s.u32(), s.u32()
            check = meter ^ value ^ (0 if good else 1 << s.rnd.randrange(32))
            what = f"a reading whose check is {'right' if good else 'wrong'}"
            s.frame(word(meter, value, check), good, what, more=s.rnd.random() < 0.5)
            records += [word(meter, value).hex()] if good else []
        s.short(12)
        s.all.append((["ring", "records"], records, "what was handed over"))


def lane(s):
    for number in [0, 4, 5, 255, *s.rnd.choices(range(256), k=16)]:
        words = [s.u32() for _ in range(LANES)]
        data = s.rnd.randbytes(HEADER) + bytes([number]) + s.rnd.randbytes(s.rnd.randrange(9))
        context = bytes(48) + word(*words)  # struct __sk_buff until the end of cb
        s.all.append((["run", data.hex(), context.hex()], [0, words[number % LANES], None], f"lane {number}"))
    s.short(1)


def twins(s):
    for alike in [0, 1, PART - 1, PART, *(s.rnd.randrange(PART) for _ in range(6))]:
        first = s.rnd.randbytes(PART)
        same = set(s.rnd.sample(range(PART), alike))
        second = bytes(b if n in same else b ^ s.rnd.randrange(1, 256) for n, b in enumerate(first))
        s.frame(first + second, alike, f"parts that are alike at {alike} places", more=s.rnd.random() < 0.5)
        cut = s.rnd.randrange(PART, 2 * PART)
        s.frame((first + first)[:cut], 0, f"a second part of {cut - PART} bytes", more=False)
    s.short(2 * PART)


def known(s):
    numbers = s.rnd.sample(range(LIMIT), 8)
    points = {number: s.rnd.randrange(1, LIMIT) for number in numbers[:5]} | {numbers[5]: 0}
    for number, has in points.items():
        s.put("members", word(number), word(has))
    before = struct.pack("<QQ", s.u32(), s.u32())
    for number in s.rnd.sample(numbers, len(numbers)):
        has = points.get(number, 0)
        s.put("asked", word(0), before)
        what = f"a member with {has} points" if number in points else "a number that nobody has"
        s.frame(word(number), has, what, more=s.rnd.random() < 0.5)
        s.get("asked", word(0), struct.pack("<QQ", number in points, has), f"map asked after {what}")
    s.put("asked", word(0), before)
    s.short(4)
    s.get("asked", word(0), before, "map asked after frames that are too short")


def scale(s):
    rows = {key: [s.u32() for _ in range(NUMBERS)] for key in s.rnd.sample(range(LIMIT), 4)}
    for key, weights in rows.items():
        s.put("rows", word(key), word(*weights))
    for key in [*rows, s.u32(), s.u32()]:
        for readable in (True, False):
            numbers = [s.u32() for _ in range(NUMBERS)]
            error = 2 if key not in rows else 0 if readable else 1
            total = sum(map(int.__mul__, numbers, rows[key])) % LIMIT if not error else 0
            # No page is ever mapped at address 64.
            context = struct.pack("<QII", 64, key, s.u32()).hex()
            answer = [0, error, word(key, total).hex()]
            what = f"a row that is {'' if key in rows else 'not '}there, numbers that "
            what += "can be read" if readable else "cannot be read"
            s.all.append((["run", "", context, word(*numbers).hex() if readable else ""], answer, what))


def option(s):
    for count in [0, 1, 14, 15, *s.rnd.choices(range(16), k=8)]:
        first = bytes([count | s.rnd.randrange(16) << 4]) + s.rnd.randbytes(4 * count)
        value = s.u32()
        for length in range(4):
            s.frame(
                (first + word(value))[: len(first) + length],
                0,
                f"{count} options and {length} bytes",
                more=False,
            )
        s.frame(
            first + word(value),
            value,
            f"{count} options, and the frame ends right behind the word",
            more=False,
        )
        s.frame(first + word(value), value, f"{count} options, and more behind the word")
    s.short(1)
