# SPDX-License-Identifier: GPL-3.0-or-later
"""The meter measures a workload that knows what it did, also while nobody empties the ring."""

import re
import shutil
from dataclasses import dataclass, field

import pytest

from klab.errors import KlabError
from klab.testing import expect

FUNCTIONS = ("first", "second", "third")
LIBRARIES = ("one.so", "two.so")
# Faults and switches of the process before it executed the workload, and after its last word.
AROUND_FAULTS, AROUND_SWITCHES = 150, 15
HOT, SHARE, UNKNOWN = 0.8, 0.08, 0.05
STATUS = 7
# Pages of a ring that takes a third of a run's samples at most, and is large enough for a reader in time.
FEW = 2
COMPILE = (
    "gcc -O2 -shared -fPIC -o one.so burn.c && cp one.so two.so &&"
    " gcc -O2 -Wall -rdynamic -o work work.c burn.c && nm -S work >work.nm && nm -S one.so >lib.nm"
)


@dataclass
class Run:
    """One run of the workload under the meter. truth: (object, function, address, samples due) of steps."""

    status: int
    errors: str
    truth: list[tuple[str, str, str, int]]
    used: dict[str, dict[str, int]]
    due: int
    numbers: dict[str, float]
    pmu: str
    places: list[tuple[int, int, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def drawn(lab):
    """{run: (hertz, pages, words for the workload)}."""
    r = lab.random

    def function():
        return r.choice(FUNCTIONS)

    hot, cold = r.sample(FUNCTIONS, 2)
    where = r.choice(["self", *(f"./{name}" for name in LIBRARIES)])
    one, two = r.sample(FUNCTIONS, 2)
    plain = f"{r.randrange(1500, 6000)} {r.randrange(60, 200)} 0 {where}:{hot}:1500 self:{cold}:100"
    again = f"{r.randrange(10, 400)} {r.randrange(9)} {STATUS} self:{function()}:{r.randrange(200, 400)}"
    again += f" ./one.so:{one}:{r.randrange(400, 700)} ./two.so:{two}:{r.randrange(400, 700)}"
    stopped = f"1 0 0 self:{function()}:{r.randrange(100, 300)} stop self:{function()}:1000 go self:third:300"
    ended = f"1 0 0 self:{function()}:200 stop self:{function()}:{r.randrange(900, 1300)}"
    runs = {"plain": (FEW, plain), "again": (FEW, again), "stopped": (1, stopped), "ended": (1, ended)}
    return {name: (r.randrange(400, 900), *rest) for name, rest in runs.items()}


@pytest.fixture(scope="module")
def symbols(lab):
    """Builds the workload; (its files for a guest, {object: {function: (start, end)}})."""
    folder = lab.builds / "work"
    shutil.copytree(lab.spec.folder / "grader", folder)
    said = lab.run(["sh", "-c", COMPILE], folder=folder)
    if said.code:
        raise KlabError(f"the grader's own workload does not build: {said.err}", step="grader")

    def table(name):
        found = re.findall(r"^([0-9a-f]+) ([0-9a-f]+) T (\w+)$", (folder / name).read_text(), re.M)
        return {f: (int(at, 16), int(at, 16) + int(size, 16)) for at, size, f in found if f in FUNCTIONS}

    files = {f"klab/{name}": folder / name for name in ("work", *LIBRARIES, "day.sh")}
    return files, {"work": table("work.nm"), **dict.fromkeys(LIBRARIES, table("lib.nm"))}


@pytest.fixture(scope="module")
def ran(lab, guest, drawn, symbols):
    files = {**symbols[0], "klab/meter": lab.restored().make().file("meter")}
    files["klab/plan"] = "".join(
        f"{name} -f={hz}=-p={pages} {hz} {words}\n" for name, (hz, pages, words) in drawn.items()
    )
    return guest("bash /klab/day.sh /klab/plan", files=files, base="debian")


@pytest.fixture(scope="module")
def runs(ran, drawn):
    said = dict(re.findall(r"^(\w+): (\d+)$", ran.output.decode(errors="replace"), re.M))
    left = {name: data.decode(errors="replace") for name, data in ran.results.items()}
    return {name: told(name, int(said.get(name, -1)), left) for name in drawn}


def told(name, status, left):
    """What one run has left."""
    truth, report = left.get(f"{name}.truth", ""), left.get(f"{name}.report", "")
    used = {
        when: {key: int(value) for key, value in re.findall(r"(\w+) (\d+)", rest)}
        for when, rest in re.findall(r"^(begin|end): (.*)$", truth, re.M)
    }
    burnt = re.findall(r"^burnt: (\S+) (\S+) (\S+) (\S+)$", truth, re.M)
    pmu = re.search(r"^pmu: (\w+)", report, re.M)
    return Run(
        status,
        left.get(f"{name}.errors", "")[-500:],
        [("work" if o == "self" else o.removeprefix("./"), f, at, int(due)) for o, f, at, due in burnt],
        used,
        int(found[1]) if (found := re.search(r"^due: (\d+)$", truth, re.M)) else 0,
        {key: float(value) for key, value in re.findall(r"^([a-z-]+): ([\d.]+)$", report, re.M)},
        pmu[1] if pmu else "(nothing)",
        [
            (int(n), int(at, 16), path)
            for n, at, path in re.findall(r"^at: (\d+) 0x(\w+) (.*)$", report, re.M)
        ],
    )


def of(runs, name):
    """A run that has come to its end."""
    run = runs[name]
    if "end" not in run.used or "samples" not in run.numbers:
        expect.fail(f"the meter runs the program and reports ({name})", expected="a report", look="perf.c",
                    observed=f"exit status {run.status}: {run.errors}")  # fmt: skip
    return run


def shares(run, symbols):
    """{(object, function): part of all samples}, and the part of which nobody knows where it was."""
    total = sum(count for count, *_ in run.places) or 1
    found, unknown = {}, 0
    for count, offset, path in run.places:
        name = path.rpartition("/")[2]
        unknown += count if path == "?" else 0
        for function, (start, end) in symbols[1].get(name, {}).items():
            if start <= offset < end:
                found[name, function] = found.get((name, function), 0) + count
    return {key: count / total for key, count in found.items()}, unknown / total


def shown(run, parts):
    most = sorted(run.places, reverse=True)[:3]
    words = ", ".join(f"{name} {function} {part:.0%}" for (name, function), part in parts.items())
    return f"{words or 'none in a function of the workload'}; most samples: {most}"


def test_pmu(ran, runs):
    devices = ran.results.get("devices", b"").decode().split()
    there = "yes" if {"cpu", "cpu_core"} & set(devices) else "no"
    run = of(runs, "plain")
    expect.equal(run.pmu, there, "the meter says whether there is a PMU", look="pmu(): what errno says")
    if there == "yes":
        expect.holds(0.05 < run.numbers.get("ipc", 0) < 10, "with a PMU, instructions per cycle are reported",
                     observed=run.numbers.get("ipc"), expected="a ratio", look="count_open()")  # fmt: skip


def test_exit_status(runs):
    expect.equal(
        of(runs, "plain").status, 0, "the meter ends with 0, as the program did", look=runs["plain"].errors
    )
    expect.equal(of(runs, "again").status, STATUS, "the meter ends with the program's status", look="main.c")


@pytest.mark.parametrize("name", ["plain", "again"])
@pytest.mark.parametrize(("what", "around"), [("faults", AROUND_FAULTS), ("switches", AROUND_SWITCHES)])
def test_counts(runs, name, what, around):
    run = of(runs, name)
    counted = int(run.numbers.get({"faults": "page-faults", "switches": "context-switches"}[what], -1))
    least, most = run.used["end"][what] - run.used["begin"][what], run.used["end"][what] + around
    expect.holds(least <= counted <= most, f"the program's {what} are those of its getrusage ({name})",
                 observed=counted, expected=f"{least} in main(), at most {most} in all",
                 look="count_open(): what is excluded; count_read(): which is which")  # fmt: skip


@pytest.mark.parametrize("name", ["plain", "again"])
def test_times(runs, name):
    run = of(runs, name)
    cpu = (run.used["end"]["user"] + run.used["end"]["system"]) * 1000
    clock, enabled, running = (run.numbers.get(key, 0) for key in ("task-clock", "enabled", "running"))
    expect.holds(0.85 * cpu < clock < 1.1 * cpu + 5e7, f"task-clock is the program's processor time ({name})",
                 observed=f"{clock:.0f} ns", expected=f"about {cpu} ns", look="count_read()")  # fmt: skip
    fine = 0.9 * clock < running <= enabled < 1.2 * clock + 5e7
    if run.pmu == "no":
        fine = fine and running == enabled  # software is never short of counters
    expect.holds(fine, f"the group was enabled and running for that time ({name})",
                 observed=f"enabled {enabled:.0f} ns, running {running:.0f} ns",
                 expected=f"about {clock:.0f} ns", look="read_format; what read() gives")  # fmt: skip


def taken(run, hz, number, what, look):
    """All samples that were due were taken, or counted as lost."""
    # Until main() nobody counts for the grader; a PMU finds its frequency by trying.
    start = hz * (run.used["begin"]["user"] / 1e6 + 0.05)
    least, most = (0.8, 1.2) if run.pmu == "no" else (0.5, 2)
    expect.holds(least * run.due < number < most * run.due + start, what,
                 observed=f"{number:.0f}; the report: {run.numbers}",
                 expected=f"about {run.due}, and less than {start:.0f} before main()", look=look)  # fmt: skip


@pytest.mark.parametrize("name", ["plain", "again"])
def test_samples(runs, drawn, name):
    run = of(runs, name)
    taken(run, drawn[name][0], run.numbers["samples"], f"samples come as often as asked for ({name})",
          "sample_open(): frequency; sample_drain(): data_tail")  # fmt: skip
    expect.equal(run.numbers["lost"], 0.0, f"none is lost while the ring is emptied in time ({name})",
                 look="sample_lost(); data_tail")  # fmt: skip


def test_hot_function(runs, symbols):
    run = of(runs, "plain")
    parts, _ = shares(run, symbols)
    name, function, _, due = run.truth[0]
    # On a computer that was not given its time fewer were due there.
    least = min(HOT, due / run.due - SHARE)
    expect.holds(parts.get((name, function), 0) >= least, "most samples are in the hot function",
                 observed=shown(run, parts), expected=f"{least:.0%} in {function} of {name}",
                 look="sample_drain(): the map, and where in the file it begins")  # fmt: skip


def test_shares(runs, symbols):
    run = of(runs, "again")
    parts, unknown = shares(run, symbols)
    bases = {int(at, 16) - symbols[1][name][f][0] for name, f, at, _ in run.truth if name in LIBRARIES}
    if len(bases) != 1:
        expect.cannot_tell(f"the libraries were not loaded to the same place: {run.truth}")
    total = sum(due for *_, due in run.truth)
    right = {(name, function): due / total for name, function, _, due in run.truth}
    near = all(abs(parts.get(key, 0) - part) < SHARE for key, part in right.items())
    expect.holds(near and unknown < UNKNOWN, "samples belong to what was mapped there when they were taken",
                 observed=f"{shown(run, parts)}; nowhere: {unknown:.0%}", expected=shown(run, right),
                 look="one library after the other at the same place: which map counts?")  # fmt: skip


@pytest.mark.parametrize("name", ["stopped", "ended"])
def test_lost(runs, drawn, name):
    run = of(runs, name)
    lost, when = run.numbers["lost"], {"stopped": "for a while", "ended": "until the end"}[name]
    expect.holds(lost > 0, f"records are lost while nobody empties the ring {when}", observed=f"{lost:.0f}",
                 expected="more than 0", look="PERF_RECORD_LOST, PERF_FORMAT_LOST")  # fmt: skip
    taken(run, drawn[name][0], run.numbers["samples"] + lost,
          f"samples and lost ones together are all that were due, stopped {when}",
          "sample_lost(): how many, not how often; and those that no record tells of")  # fmt: skip
