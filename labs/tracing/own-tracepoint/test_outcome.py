# SPDX-License-Identifier: GPL-3.0-or-later
"""The depot's events: their fields, texts, filters and price; who listens; and what code changes for them."""

import re
from dataclasses import dataclass

import pytest

from klab.errors import KlabError
from klab.testing import expect

MEMORY, DEADLINE_S = 1024, 300.0
# The course's own kernel is built without JUMP_LABEL: there the question is a load and a comparison.
PATCHED = "stock"
WAYS = ("tracefs", "trace-cmd", "perf", "bpftrace")
EVENTS = ("parcel_sorted", "parcel_refused")
LETTERS = "abdefgiklmnoprstuvz"
HEAVY, LONG = 30000, 32
PLACES = ("SHELF", "BELT", "VAULT")
EINVAL, EFBIG = -22, -27
STRING = "a string of any length"
# {event: {field: (bytes, whether it has a sign)}}
FIELDS = {
    "parcel_sorted": {"id": (4, False), "grams": (4, False), "place": (1, False), "city": STRING},
    "parcel_refused": {"id": (4, False), "error": (4, True), "seal": (4, False)},
}
# What a jump is while its event is off: one NOP, of five bytes or of two.
NOPS = ("0f1f440000", "6690")
TABLE = "readelf -sW depot.ko && readelf -rW depot.ko | sed -n '/rela__jump_table/,/^$/p'"


@dataclass(frozen=True)
class Event:
    """One event that is to come."""

    name: str
    id: int
    grams: int
    city: str
    place: int = 0
    error: int = 0

    def text(self):
        if self.name == "parcel_sorted":
            return f"id={self.id} grams={self.grams} place={PLACES[self.place]} city={self.city}"
        seal = self.id ^ self.grams
        for byte in self.city.encode():
            seal = (seal ^ byte) * 16777619 % (1 << 32)
        return f"id={self.id} error={self.error} seal={seal:08x}"


class Depot:
    """What the depot does. random: of the run. log: what it has, as events."""

    def __init__(self, random):
        self.random = random
        self.log = []
        self.ids = iter(random.sample(range(1, 5000), 400))

    def city(self, low, high):
        return "".join(self.random.choices(LETTERS, k=self.random.randrange(low, high)))

    def take(self, grams, city):
        """(line, event) of a new parcel."""
        number = next(self.ids)
        place = 2 if len(city) > LONG else 0 if grams > HEAVY // 2 else 1
        error = EINVAL if not grams else EFBIG if grams > HEAVY else 0
        event = Event(EVENTS[bool(error)], number, grams, city, 0 if error else place, error)
        self.log.append(event)
        return f"{number} {grams} {city}", event

    def again(self):
        """(line, event) of an old one."""
        n = self.random.choice([n for n, old in enumerate(self.log) if not old.error])
        old = self.log[n]
        self.log[n] = Event(old.name, old.id, old.grams, old.city)
        return f"again {old.id}", self.log[n]

    def load(self, count, grams):
        """(text, events) of parcels of all kinds, with weights around `grams`."""
        r = self.random
        name = self.city(4, 9)
        # Names in which another one is only a part, and one that is long.
        cities = [name, name, name + self.city(1, 3), self.city(1, 3) + name, self.city(40, 60)]
        weights = [grams, grams, grams + 1, grams + 2, grams + 3, 0, 0, HEAVY + 1, HEAVY]
        weights += [r.randrange(1, HEAVY + 9000) for _ in range(count - len(weights))]
        told = []
        for n, weight in enumerate(r.sample(weights, len(weights))):
            told.append(self.take(weight, cities[n % len(cities)]))
        told += [self.again() for _ in range(4)]
        return "".join(f"{line}\n" for line, _ in told), [event for _, event in told]


@pytest.fixture(scope="module")
def drawn(lab):
    """({load: (text, events)}, {way: (grams, place)}, [(event, filter, whether it picks one out)], depot)."""
    depot, loads, asked = Depot(lab.random), {}, {}
    for load, count in [("off", 12), ("all", 30), ("filters", 30), *((way, 24) for way in WAYS)]:
        place = lab.random.randrange(2)
        grams = lab.random.randrange(2000, 12000) + HEAVY // 2 * (place == 0)
        loads[load] = depot.load(count, grams)
        asked[load] = grams, place
    grams, place = asked["filters"]
    cities = {event.city for event in loads["filters"][1] if not event.error}
    long, short = max(cities, key=len), min(cities, key=len)
    filters = [
        (0, f"grams > {grams} && place == {place}", lambda e: e.grams > grams and e.place == place),
        (0, f'city == "{short}"', lambda e: e.city == short),
        (0, f'city ~ "*{long[-6:]}"', lambda e: e.city == long),
        (1, f"error == {EFBIG}", lambda e: e.error == EFBIG),
        (1, "error < 0", lambda _: True),
    ]
    return loads, {way: asked[way] for way in WAYS}, filters, depot


def sites(lab, folder):
    """{event: places in .text that its switch changes}, from the module's own table of jumps."""
    said = lab.run(["sh", "-c", TABLE], folder=folder)
    if said.code:
        raise KlabError(f"readelf does not read depot.ko: {said.err}", step="grader")
    row = r"^ *\d+: ([0-9a-f]{16}) +\d+ \w+ +\w+ +\w+ +(\d+) (\S+)"
    symbols = {name: (int(value, 16), at) for value, at, name in re.findall(row, said.out, re.M)}
    text = symbols.get(".text", (0, ""))[1]
    rows = re.findall(r"^[0-9a-f]{16} .* (\S+) ([-+]) ([0-9a-f]+)$", said.out, re.M)
    found = {event: [] for event in EVENTS}
    for (name, sign, far), (key, *_) in zip(rows[::3], rows[2::3], strict=True):
        value, section = symbols.get(name, (0, "?"))
        event = key.removeprefix("__tracepoint_")
        if event in found and section == text:
            found[event].append(value + int(f"{sign}{far}", 16))
    return {event: sorted(places) for event, places in found.items()}


def left(ran, name, what):
    """{file: text} of what a guest has left, `name` among them; and what it said."""
    texts = {name: data.decode(errors="replace") for name, data in ran.results.items()}
    said = ran.output.decode(errors="replace")
    expect.holds(name in texts, what, observed=said[-600:] or "(nothing)", expected="a module that is loaded",
                 look="dmesg")  # fmt: skip
    return {**texts, "said": said}


@pytest.fixture(scope="module")
def ran(lab, guest, drawn):
    loads, asked, filters, _ = drawn
    built = lab.restored().make()
    words = [f"filters[{n}]='{EVENTS[event]}:{text}'" for n, (event, text, _) in enumerate(filters)]
    words += [f"asked[{way}]='{grams} {place}'" for way, (grams, place) in asked.items()]
    files = {f"klab/{name}": built.file(name) for name in ("depot.ko", "four.sh")}
    files |= {"klab/ask": "\n".join(words) + "\n", "klab/day.sh": lab.spec.folder / "grader/day.sh"}
    files |= {f"klab/load.{name}": text for name, (text, _) in loads.items()}
    ran = guest("bash /klab/day.sh", files=files, base="debian", memory=MEMORY, deadline_s=DEADLINE_S)
    return left(ran, "log", "depot.ko is loaded, and all come to their end")


@pytest.fixture(scope="module")
def patched(lab, guest):
    """What a guest of Debian's kernel left, in which such a question is a NOP; and the places."""
    work = lab.restored({"truth.c": lab.spec.folder / "grader/truth.c"})
    built = work.make(kernel=PATCHED)
    said = lab.run(["gcc", "-O2", "-static", "-o", "truth", "truth.c"], folder=built.folder)
    if said.code:
        raise KlabError(f"the grader's own program does not build: {said.err}", step="grader")
    places = sites(lab, built.folder)
    files = {f"klab/{name}": built.file(name) for name in ("depot.ko", "site", "truth")}
    files["klab/places"] = "".join(f"{event} {' '.join(map(str, at))}\n" for event, at in places.items())
    files["klab/sites.sh"] = lab.spec.folder / "grader/sites.sh"
    ran = guest("sh /klab/sites.sh", kernel=PATCHED, files=files)
    return left(ran, f"site.{EVENTS[-1]}", f"depot.ko is loaded by the kernel {PATCHED}"), places


def compare(trace, events, what, look):
    """What a tool printed of events; the first one that is not as it should be is shown."""
    seen = re.findall(r" (parcel_\w+): +(.*?) *$", trace, re.M)
    right = [(event.name, event.text()) for event in events]
    pairs = enumerate(zip(seen, right, strict=False))
    n = next((n for n, (a, b) in pairs if a != b), min(len(seen), len(right)))
    one, other = ((texts[n:] or ["none"])[0] for texts in (seen, right))
    expect.holds(seen == right, what, observed=f"{len(seen)} events; number {n + 1}: {one}",
                 expected=f"{len(right)} events; number {n + 1}: {other}", look=look)  # fmt: skip


def test_the_depot_itself(ran, drawn):
    right = [f"{e.id} {e.grams} {e.city} {e.place} {e.error}" for e in drawn[3].log]
    expect.equal(ran["log"].splitlines(), right, "the depot sorts as before", look="main.c")
    expect.holds("gone" in ran["said"], "the module can go", observed=ran["said"][-300:],
                 expected="rmmod depot", look="who still has an event on?")  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
def test_fields(ran, event):
    row = r"^\tfield:((?:.*\W)?(\w+)(?:\[\w*\])?);\toffset:\d+;\tsize:(\d+);\tsigned:(\d);"
    own = {
        name: STRING if whole.startswith("__data_loc char[]") else (int(size), sign == "1")
        for whole, name, size, sign in re.findall(row, ran.get(f"{event}.format", ""), re.M)
        if not name.startswith("common_")
    }
    expect.equal(own, FIELDS[event], f"the fields of {event}: (bytes, whether it has a sign)",
                 look="TP_STRUCT__entry")  # fmt: skip


def test_events(ran, drawn):
    compare(ran["trace"], drawn[0]["all"][1], "an event for each parcel, and its text in tracefs",
            "TP_fast_assign, TP_printk; where trace_…() is called")  # fmt: skip


def test_seals(ran, drawn):
    refused = sum(bool(event.error) for event in drawn[0]["all"][1])
    off, on = (int(ran[f"seals.{when}"]) for when in ("off", "on"))
    expect.equal(off, 0, "seals made while nobody listened", look="who computes an argument, and when")
    expect.equal(on - off, refused, "seals made for one listener", look="TP_fast_assign, TP_CONDITION")


def test_outside_of_the_kernel(ran, drawn):
    compare(ran["report"], drawn[0]["filters"][1], "trace-cmd, with the format file alone, shows the same",
            "what a program outside cannot know: pointers, functions, enums")  # fmt: skip


@pytest.mark.parametrize("n", range(5))
def test_filters(ran, drawn, n):
    event, text, fits = drawn[2][n]
    wanted = [e for e in drawn[0]["filters"][1] if e.name == EVENTS[event] and fits(e)]
    compare(ran.get(f"filter.{n}", ""), wanted, f"the filter {text} picks out what it says",
            "the type of the field, in the format file")  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_ways(ran, drawn, way):
    grams, place = drawn[1][way]
    wanted = [str(e.id) for e in drawn[0][way][1] if not e.error and e.grams > grams and e.place == place]
    expect.equal(ran.get(f"four.{way}", "").split(), wanted,
                 f"four.sh {way} prints who has more than {grams} grams and place {place}",
                 look=ran.get(f"errors.{way}", "").strip()[-400:] or "four.sh")  # fmt: skip
    found = re.search(rf"^{way}: (.*?) *$", ran["said"], re.M)
    expect.equal(found[1] if found else "(nothing)", "0 none",
                 f"four.sh {way} leaves events off, without filters, and no instance",
                 look="enable, filter and instances, in /sys/kernel/tracing")  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
def test_sites(patched, event):
    seen, places = patched
    expect.holds(bool(places[event]), f"the module asks somewhere whether {event} is on",
                 observed="no such jump in depot.ko", expected="one at least", look="main.c")  # fmt: skip
    right = seen.get(f"truth.{event}", "").splitlines()
    if len(right) != len(places[event]) or any(line.split()[1] not in NOPS for line in right):
        expect.cannot_tell(f"these are no jumps: {right}")
    expect.equal(seen.get(f"site.{event}", "").splitlines(), right,
                 f"site finds where the code of {event} changes, from which bytes to which",
                 look=seen.get(f"errors.{event}", "").strip()[-400:] or "site.c")  # fmt: skip
    expect.holds(f"{event}: 0 0" in seen["said"], f"site ends with 0 and leaves {event} off",
                 observed=seen["said"], expected=f"{event}: 0 0", look="site.c")  # fmt: skip
