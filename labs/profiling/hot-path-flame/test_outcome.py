# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that knows its ways is sampled; stacks by lot are folded and drawn; the service got faster."""

import itertools
import json
import re
import shlex
import shutil

import pytest

from klab.errors import KlabError
from klab.testing import expect

WAYS = 4
MS, CALLS = 500, (700, 1300)
NEAR, NEARLY = 0.12, 0.25  # of all samples
LEAST, MOST = 60, 1100  # samples in a second: an emulated clock that is not given its time skips some
FASTER = 3
AROUND = 250  # system calls before main() and behind it
PIXEL = 0.001  # of the picture's width
WORDS = ("weigh", "carve", "knit", "plough", "solder", "bind", "thresh", "dye", "glaze", "churn")
COMPILE = (
    "gcc -O2 -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread {defines}"
    " -o work work.c && gcc -O2 -fno-omit-frame-pointer -o slow slow.c"
)


@pytest.fixture(scope="session")
def stacks(lab):
    return lab.module("stacks")


@pytest.fixture(scope="module")
def orders(lab):
    """(a file for the service, what it must answer)."""
    r, customers, lines = lab.random, {}, []
    # They differ late: that is what the starter's way to compare takes its time for.
    house = "".join(r.choices("abcdefgh", k=24))
    keys = [house + "".join(r.choices("abcdefgh", k=r.randrange(8, 12))) for _ in range(2500)]
    for _ in range(9000):
        key, amount = r.choice(keys), r.randrange(1 << 30)
        written = "".join(c.upper() if r.random() < 0.2 else c for c in key)
        for _ in range(r.choice((0, 0, 1, 3))):
            at = r.randrange(len(written) + 1)
            written = f"{written[:at]}.{written[at:]}"
        lines.append(f"{written} {amount}")
        had = customers.setdefault(key, [written, 0, 0, 0])
        had[1:] = had[1] + 1, had[2] + amount, max(had[3], amount)
    answer = "".join(f"{' '.join(map(str, c))}\n" for c in customers.values())
    return "\n".join(lines) + "\n", answer


@pytest.fixture(scope="module")
def drawn(lab, stacks):
    """Names of the workload's functions and of its thread; the stacks that are folded and drawn."""
    r = lab.random
    *words, thread = r.sample(WORDS, 5)
    names = {
        what: f"{word}_all" for what, word in zip(("OUTER", "OTHER", "SPIN", "FILL"), words, strict=True)
    }
    text, folded = stacks.script(r)
    before = stacks.forest(r)
    made = {"text": text, "folded": folded, "before": before, "after": stacks.forest(r, before)}
    return {"functions": names, "thread": f"{thread} {r.randrange(10)} hands", **made}


@pytest.fixture(scope="module")
def workload(lab, drawn):
    """The grader's programs, as files for a guest."""
    folder = lab.builds / "work"
    shutil.copytree(lab.spec.folder / "grader", folder)
    shutil.copyfile(lab.spec.starter / "service.c", folder / "slow.c")
    parts = ",".join(str(lab.random.randrange(12, 40)) for _ in range(WAYS))
    defines = [f"-D{what}={name}" for what, name in drawn["functions"].items()]
    defines += [f'-DTHREAD="{drawn["thread"]}"', f"-DPARTS={parts}"]
    said = lab.run(["sh", "-c", COMPILE.format(defines=shlex.join(defines))], folder=folder)
    if said.code:
        raise KlabError(f"the grader's own workload does not build: {said.err}", step="grader")
    return {f"klab/{name}": folder / name for name in ("work", "slow", "day.sh")}


@pytest.fixture(scope="module")
def left(lab, guest, stacks, workload, drawn, orders):  # noqa: PLR0917 - each is a fixture
    """{name: what the guest has left}, and {name.status: exit status}."""
    built = lab.restored().make()
    files = {f"klab/{name}": built.file(name) for name in lab.spec.workspace if name != "service.c"}
    files |= {"klab/service": built.file("service"), "klab/orders": orders[0], "klab/made": drawn["text"]}
    files |= {f"klab/{which}": stacks.lines(lab.random, drawn[which]) for which in ("before", "after")}
    script = f"bash /klab/day.sh {MS} {lab.random.randrange(*CALLS)}"

    def day():
        ran = guest(script, files={**workload, **files}, base="debian")
        found = {name: data.decode(errors="replace") for name, data in ran.results.items()}
        statuses = dict(re.findall(r"^([\w-]+): (\d+)$", ran.output.decode(errors="replace"), re.M))
        return found | {f"{name}.status": status for name, status in statuses.items()}

    # A busy computer gives an emulated clock its time in lumps: who is nearly right has a second day.
    first = day()
    if NEAR <= off(first, stacks, drawn) < NEARLY:
        return min(first, day(), key=lambda one: off(one, stacks, drawn))
    return first


def ways(drawn):
    """{what a way is called: whether a stack belongs to it}, in the order of the times that they took."""
    outer, other, spin, fill = drawn["functions"].values()
    # One calls the other: side by side, and in this order. Of the thread its name comes first.
    return {
        f"{outer} calls {spin}": lambda stack: f";{outer};{spin}" in stack,
        f"{other} calls {spin}": lambda stack: f";{other};{spin}" in stack,
        f"{outer} calls {fill}": lambda stack: f";{outer};{fill}" in stack,
        f"{spin} in {drawn['thread']}": lambda s: s.startswith(f"{drawn['thread']};") and spin in s,
    }


def parts(found, times, drawn):
    """[(way, its part of the samples, its part of the time)] of the functions that were drawn."""
    _, _, spin, fill = drawn["functions"].values()
    mine = {stack: count for stack, count in found.items() if spin in stack or fill in stack}
    total = sum(mine.values()) or 1
    return [
        (way, sum(count for stack, count in mine.items() if belongs(stack)) / total, time / sum(times))
        for (way, belongs), time in zip(ways(drawn).items(), times, strict=True)
    ]


def off(left, stacks, drawn):
    """How far the samples are from where the time went; nothing where there are none to judge."""
    found = stacks.folded(left.get("script", ""))
    if not found or len(left.get("truth", "").split()) < 2 + WAYS:
        return 0.0
    return max(abs(part - right) for _, part, right in parts(found, spent(left), drawn))


def printed(left, name, what):
    """What a program of the student's has printed."""
    status, errors = left.get(f"{name}.status", "none"), left.get(f"{name}.errors", "")
    expect.holds(status == "0", f"{what} ends well", observed=f"exit status {status}: {errors[-500:]}",
                 expected="0, within a minute", look=what.split()[0])  # fmt: skip
    return left[name]


def recorded(left, stacks):
    """{stack: samples} of what record.sh has left."""
    printed(left, "record", "record.sh")
    found = stacks.folded(left.get("script", ""))
    errors = left.get("script.errors", "")[-300:]
    expect.holds(bool(found), "record.sh leaves samples with stacks", observed=errors,
                 expected="something for perf script", look="record.sh")  # fmt: skip
    return found


def spent(left):
    """Milliseconds of each way."""
    return [float(ms) for ms in left["truth"].split()[2 : 2 + WAYS]]


def test_sampled(left, stacks):
    number = sum(recorded(left, stacks).values())
    seconds = sum(spent(left)) / 1000
    expect.holds(LEAST * seconds < number < MOST * seconds + 200, "record.sh samples as often as asked for",
                 observed=f"{number} samples in {seconds:.1f} s", expected="200 to 1000 in a second",
                 look="record.sh: -F")  # fmt: skip


def test_ways(left, stacks, drawn):
    found, times = recorded(left, stacks), spent(left)
    most = sorted(found, key=found.get)[-2:]
    for way, part, right in parts(found, times, drawn):
        expect.holds(abs(part - right) < NEAR, f"the samples are where the time went: {way}",
                     observed=f"{part:.0%}; most samples: {most}", expected=f"{right:.0%}",
                     look="record.sh: the stack, threads, the event")  # fmt: skip
    _, _, spin, fill = drawn["functions"].values()
    mine = {stack: count for stack, count in found.items() if spin in stack or fill in stack}
    total = sum(mine.values()) or 1
    kernel = sum(n for stack, n in mine.items() if f";{fill};" in stack and stack.endswith("_[k]"))
    expect.holds(kernel / total > times[2] / sum(times) / 2,
                 "samples lie in the kernel, above the function that called it",
                 observed=f"{kernel} of {total}; most samples: {most}", expected=f"most of those in {fill}",
                 look="record.sh: user space is not all")  # fmt: skip


def test_folded(left, stacks, drawn):
    """A text made up of all that can be in one, and what was recorded behind it."""
    right = dict(drawn["folded"])
    for stack, count in recorded(left, stacks).items():
        right[stack] = right.get(stack, 0) + count
    lines = printed(left, "fold", "fold.py").splitlines()
    wanted = [f"{stack} {count}" for stack, count in sorted(right.items())]
    missing, more = [x for x in wanted if x not in lines], [x for x in lines if x not in wanted]
    expect.holds(not missing and not more, "fold.py counts each stack",
                 observed="\n".join(more[:3]) or f"{len(missing)} lines are missing",
                 expected="\n".join(missing[:3]) or "no such line", look="fold.py and its head")  # fmt: skip
    expect.equal(len(lines), len(wanted), "fold.py writes each stack once", look="fold.py")


def picture(left, stacks, name):
    text = printed(left, name, f"flame.py ({name})")
    try:
        return stacks.boxes(text)
    except ValueError as error:
        expect.fail(f"flame.py draws boxes ({name})", observed=str(error), expected="what its head says",
                    look="flame.py")  # fmt: skip


def differs(left, stacks, drawn, name):
    """(path: box), after the boxes were compared with what was counted."""
    right = stacks.tree(drawn["after"])
    found = stacks.placed(picture(left, stacks, name))
    wrong = [p for p in (*right, *found) if p not in right or p not in found or found[p].count != right[p]]
    path = min(wrong, key=len, default=())
    should = f"{right[path]} samples" if path in right else "no such box"
    box = found.get(path)
    expect.holds(not wrong, f"each path is a box with its samples, upon its caller's ({name})",
                 observed=f"{path}: {f'{box.count} samples' if box else 'no box'}; {len(wrong)} are wrong",
                 expected=should, look="flame.py")  # fmt: skip
    return right, found


def box_is(fine, path, what, observed, expected):
    """One of very many observations: only the first that is wrong is told."""
    if not fine:
        expect.fail(what, observed=f"{';'.join(path)}: {observed}", expected=expected, look="flame.py")


@pytest.mark.parametrize("name", ["flame", "diff"])
def test_drawn(left, stacks, drawn, name):
    right, found = differs(left, stacks, drawn, name)
    base = found["all",]
    free = {}
    for path in sorted(right):
        box, under = found[path], path[:-1]
        part = right[path] / right["all",]
        x = free.get(under, found[under].x if under else base.x)
        free[under] = x + base.width * part
        width, near = base.width * part, PIXEL * base.width
        box_is(abs(box.x - x) < near and abs(box.width - width) < near, path,
               f"boxes are as wide as their part, and side by side by their names ({name})",
               f"x {box.x}, width {box.width}", f"x {x:.2f}, width {width:.2f}")  # fmt: skip
        box_is(abs(box.part - 100 * part) < 0.1, path, f"a box's title says its part ({name})",
               f"{box.part}%", f"{100 * part:.1f}%")  # fmt: skip


def test_difference(left, stacks, drawn):
    right, found = differs(left, stacks, drawn, "diff")
    before = stacks.tree(drawn["before"])
    for path, count in right.items():
        box = found[path]
        change = 100 * (count / right["all",] - before.get(path, 0) / before["all",])
        box_is(box.change is not None and abs(box.change - change) < 0.11, path,
               "a title says how a box's part changed", f"{box.change}%", f"{change:+.1f}%")  # fmt: skip
        red, _, blue = (*box.fill, 0, 0, 0)[:3]
        more = 0 if abs(change) < 0.1 else 1 if change > 0 else -1
        # At the very limit it may have been rounded.
        box_is((red > blue) - (red < blue) == more or 0.05 < abs(change) < 0.15, path,
               "what has grown is red, and what has shrunk is blue", f"{change:+.2f}%, fill {box.fill}",
               ("as much red as blue", "more red", "more blue")[more])  # fmt: skip


def test_cost(left):
    text = printed(left, "cost", "cost.py")
    try:
        told = json.loads(text)
        numbers = [told[key] for key in ("plain_us", "sampled_us", "traced_us", "calls")]
    except (ValueError, TypeError, KeyError):
        expect.fail("cost.py prints one JSON object", observed=text[-300:], expected="what its head says",
                    look="cost.py")  # fmt: skip
    runs = [line.split() for line in left.get("cost.log", "").splitlines()]
    expect.equal(len(runs), 3, "cost.py runs the program three times", look="cost.py")
    parents = [run[-1] for run in runs]
    expect.holds(parents[1] == "perf" != parents[0], "alone first, then under perf", look="cost.py",
                 observed=f"its parents were {parents}", expected="perf is the second's")  # fmt: skip
    expect.equal(numbers[:3], [int(run[0]) for run in runs], "the times are those that the program took",
                 look="what a tool needs for itself is not the program's time")  # fmt: skip
    calls = int(runs[2][1])
    expect.holds(calls <= numbers[3] <= calls + AROUND, "each system call of the traced run is counted",
                 observed=numbers[3], expected=f"{calls} in main(), at most {AROUND} more in all",
                 look="cost.py: threads; calls that are cut in two")  # fmt: skip


def test_service(left, orders):
    answer = printed(left, "service", "service with the grader's orders")
    right = orders[1].splitlines()
    lines = answer.splitlines()
    wrong = [n for n, pair in enumerate(itertools.zip_longest(lines, right)) if pair[0] != pair[1]]
    there = slice(wrong[0], wrong[0] + 1) if wrong else slice(0)
    expect.holds(not wrong, "the service answers as it did", observed=f"line {wrong[:1]}: {lines[there]}",
                 expected=str(right[there]), look="service.c and its head")  # fmt: skip
    turns = {which: left[f"{which}.time"].splitlines() for which in ("slow", "service")}
    used = {which: min(sum(map(float, turn.split())) for turn in turns[which]) for which in turns}
    if used["slow"] < 0.2:
        expect.cannot_tell(f"the starter's service needs no more than {used['slow']} s here")
    expect.holds(used["service"] * FASTER < used["slow"], "the service has become much faster",
                 observed=f"{used['service']:.2f} s of processor time",
                 expected=f"less than a third of the {used['slow']:.2f} s that it took",
                 look="the widest box near the top; what is below it?")  # fmt: skip
