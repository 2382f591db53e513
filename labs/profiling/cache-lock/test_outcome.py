# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters are traced and run beside the starter's; traces by lot go through the student's caches."""

import json
import re

import pytest

from klab.testing import expect

WORKERS, KEYS, ROUNDS = 4, 16, 200
CALM, SPIN, TRACED = 250, 250, 60  # hits of each worker, as day.sh has them
TRANSFERS, FUTEXES = 0.25, 0.2  # of the starter's
NEXT_TO_NONE = 0.05  # transfers between workers, for each hit
READER = f"{WORKERS} "  # begins its lines of a trace
CONTENDED = 200  # futex calls of the starter that tell something
DEADLINE_S = 240
PROGRAMS = ("load", "load-traced", "load-tsan")


@pytest.fixture(scope="module")
def caches(lab):
    return lab.module("caches")


@pytest.fixture(scope="module")
def drawn(lab, caches):
    """What the workers draw their keys by, and a trace."""
    return {"seed": lab.random.randrange(1, 1 << 31), "made": caches.trace(lab.random)}


@pytest.fixture(scope="module")
def left(lab, guest, drawn):
    """{name: what the guest has left}, and {name.status: exit status}."""
    bench = lab.restored()
    files = {"klab/day.sh": lab.spec.folder / "grader/day.sh", "klab/made": drawn["made"]}
    files["klab/lines.py"] = bench.make().file("lines.py")
    for which, built in (("was", lab.starter().make()), ("now", bench.make())):
        files |= {f"klab/{which}/{name}": built.file(name) for name in PROGRAMS}
    script = f"bash /klab/day.sh {drawn['seed']}"
    ran = guest(script, files=files, base="debian", deadline_s=DEADLINE_S)
    found = {name: data.decode(errors="replace") for name, data in ran.results.items()}
    statuses = dict(re.findall(r"^([\w-]+): (\d+)$", ran.output.decode(errors="replace"), re.M))
    return found | {f"{name}.status": status for name, status in statuses.items()}


def printed(left, name, what):
    """What a program has printed, which came to its end."""
    status, errors = left.get(f"{name}.status", "none"), left.get(f"{name}.errors", "")
    expect.holds(status == "0", f"{what} comes to its end", observed=f"exit status {status}: {errors[-900:]}",
                 expected="0, within 40 s", look="a deadlock, a crash")  # fmt: skip
    return left[name]


def weight(amount):
    for _ in range(ROUNDS):
        amount = (amount * 6364136223846793005 + 1442695040888963407) % (1 << 64)
    return amount >> 40


def right(seed, hits):
    """What must be counted: lines of the program's output."""
    counts = [0] * KEYS
    for worker in range(WORKERS):
        state = seed + worker
        for _ in range(hits):
            state = (state * 1103515245 + 12345) % (1 << 32)
            counts[(state >> 16) % KEYS] += 1
    lines = [f"key {key}: {count} {count * weight(key + 1)}" for key, count in enumerate(counts)]
    return lines + [f"worker {worker}: {hits}" for worker in range(WORKERS)]


@pytest.mark.parametrize(("name", "hits"), [("calm-now", CALM), ("spin", SPIN), ("traced-now", TRACED)])
def test_sums(left, drawn, name, hits):
    lines = printed(left, name, f"load ({name})").splitlines()
    wanted = right(drawn["seed"], hits)
    wrong = [line for line in lines[: len(wanted)] if line not in wanted]
    missing = [line for line in wanted if line not in lines]
    expect.holds(not missing, f"nothing that was counted is lost ({name})",
                 observed="\n".join(wrong[:3]) or lines, expected="\n".join(missing[:3]),
                 look="what two workers change at once")  # fmt: skip
    torn = re.search(r"^torn: (\d+)$", left[name], re.M)
    expect.equal(torn and torn[1], "0", f"count and weight belong together whenever they are read ({name})",
                 look="total(): what may change between the two")  # fmt: skip


def test_sanitizer(left):
    errors = left.get("tsan.errors", "")
    report = re.search(r"WARNING: ThreadSanitizer: .*(?:\n.*){0,16}", errors)
    expect.holds("ThreadSanitizer" not in errors, "no data is used by two at once without a lock",
                 observed=report[0] if report else errors[-500:], expected="no report",
                 look="who reads, and who writes")  # fmt: skip
    printed(left, "tsan", "load-tsan")


def test_transfers(left, caches):
    was, now = (left.get(f"trace-{which}", "") for which in ("was", "now"))
    uses = now.count("\n")
    expect.holds(uses > WORKERS * TRACED, "the workers count in memory that is traced", look="counters.c",
                 observed=f"{uses} uses", expected="one for each hit at least")  # fmt: skip
    before = sum(count for count, _ in caches.travels(was).values())
    found = caches.travels(now)
    after = sum(count for count, _ in found.values())
    expect.holds(after <= TRANSFERS * before, "lines travel much less than they did",
                 observed=f"{after} transfers in {WORKERS * TRACED} hits",
                 expected=f"at most {TRANSFERS:.0%} of the {before} that there were",
                 look="lines.py <trace; nm -n load-traced")  # fmt: skip
    alone = "".join(line for line in now.splitlines(keepends=True) if not line.startswith(READER))
    between = caches.travels(alone)
    expect.holds(sum(n for n, _ in between.values()) <= NEXT_TO_NONE * WORKERS * TRACED,
                 "without a reader no line travels from one worker to another",
                 observed=f"transfers: {[(hex(line), n) for line, (n, _) in between.items()][:5]}",
                 expected="next to none", look="where does the next worker's begin?")  # fmt: skip


def test_contention(left):
    counts = {}
    for which in ("was", "now"):
        printed(left, f"calm-{which}", f"load ({which})")
        told = re.search(r"^(\d+),.*sys_enter_futex", left.get(f"futex-{which}", ""), re.M)
        counts[which] = int(told[1]) if told else -1
    if counts["was"] < CONTENDED or counts["now"] < 0:
        expect.cannot_tell(f"the starter's workers did not get into each other's way: {counts} futex calls")
    expect.holds(counts["now"] <= FUTEXES * counts["was"], "hardly anybody waits for a lock",
                 observed=f"{counts['now']} futex calls in {WORKERS * CALM} hits",
                 expected=f"at most {FUTEXES:.0%} of the {counts['was']} that there were",
                 look="how long a lock is held, and by how many it is wanted")  # fmt: skip


@pytest.mark.parametrize("name", ["made", "trace-was"])
def test_lines(left, caches, drawn, name):
    what = {"made": "a trace by lot", "trace-was": "the starter's trace"}[name]
    text = drawn["made"] if name == "made" else left.get(name, "")
    found = caches.travels(text)
    due = [
        {"line": hex(line), "transfers": count, "sharing": "true" if shared else "false"}
        for line, (count, shared) in sorted(found.items(), key=lambda pair: (-pair[1][0], pair[0]))
    ]
    said = printed(left, f"lines-{name}", f"lines.py on {what}")
    try:
        told = json.loads(said)
        told = told if isinstance(told, list) else [told]
    except ValueError:
        expect.fail(
            f"lines.py prints JSON ({what})", observed=said[-300:], expected="a list", look="lines.py"
        )
    wrong = [line for line in told if line not in due]
    missing = [line for line in due if line not in told]
    expect.holds(not wrong and not missing, f"each line that travels, how often, and why ({what})",
                 observed=f"{wrong[:2] or 'too few'}", expected=f"{missing[:2] or 'no such line'}",
                 look="lines.py and its head")  # fmt: skip
    expect.equal(told, due, f"most transfers come first ({what})", look="lines.py")
