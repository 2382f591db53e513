# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy of the grader's, and then what undoes it: writes behind the back, and a CPU that goes."""

import json
import re

import pytest

from klab.testing import expect

WORDS = ("rx", "tx", "port", "lane", "queue")
CPUS = 4
DEADLINE_S = 200
BURST_S = 4
QUIET_S = 1.5
HEAD = r"""
cd /klab; export PYTHONDONTWRITEBYTECODE=1
irq() {{ grep -l -x "$1" /sys/kernel/irq/*/actions | grep -o '[0-9]*'; }}
asked() {{ cat /proc/irq/$(irq $1)/smp_affinity_list; }}
poke() {{ echo "$*" 2>/dev/null >/proc/edupoke || echo "edupoke failed: $*"; }}
counts() {{ cat /sys/kernel/irq/$(irq $1)/per_cpu_count; }}
note() {{ echo "$1: $2"; }}
insmod edupoke.ko && insmod eduq.ko names={first},{second} || exit 1
# Both start on CPU 0, and really are there.
for name in {first} {second}; do echo 0 >/proc/irq/$(irq $name)/smp_affinity_list; done
poke 0 1 2; poke 1 1 2
for name in {lines}; do note irq-$name "$(irq $name)"; done
"""
STEER = r"""
note managed-before "$(asked {managed})"
python3 steer.py policy.json >/klab/out/report 2>/klab/out/errors; note status $?
cp irqbalance.env /klab/out/ 2>/dev/null
note managed-after "$(asked {managed})"
for name in {first} {second}; do note asked-$name "$(asked $name)"; done
poke 0 1 3; poke 1 1 3
for name in {first} {second}; do note before-$name "$(counts $name)"; done
poke 0 1 {times}; poke 1 1 {times}
for name in {first} {second}; do note after-$name "$(counts $name)"; done
"""
# Half a minute of waiting: only for who has steered right.
WATCH = r"""
python3 steer.py good.json >/klab/out/good 2>/klab/out/errors; note good-status $?
python3 irqwatch.py watch.json >/klab/out/events 2>>/klab/out/errors & watch=$!
for n in $(seq 100); do [ ! -s /klab/out/events ] || break; sleep 0.2; done
told() {{ note told-$1 "$(wc -l </klab/out/events)"; }}
sleep 1; told start
for n in $(seq 6); do poke {x} 1 2; sleep 0.5; done; told trickle
burst() {{ end=$((SECONDS + {burst})); while [ $SECONDS -lt $end ]; do poke {x} 1 40; done; sleep 3.5; }}
burst; told burst
burst; told again
echo 0-{last} >/proc/irq/$(irq {moved})/smp_affinity_list; sleep 2.5
told moved; note back "$(asked {moved})"
echo 0 >/sys/devices/system/cpu/cpu{gone}/online; sleep 2
note away "$(asked {moved})"
echo 1 >/sys/devices/system/cpu/cpu{gone}/online; sleep 2.5
told hotplug; note returned "$(asked {moved})"
kill $watch
"""


@pytest.fixture(scope="module")
def drawn(lab):
    r = lab.random
    word = r.choice(WORDS)
    names = [word, f"{word}-1"]
    x = r.randrange(2)  # the queue that has bursts; the other one is moved
    burst, gone = r.sample(range(1, CPUS), 2)
    wishes = {names[x]: [burst], names[1 - x]: [gone]}
    queue = r.randrange(CPUS)
    managed = f"virtio1-req.{queue}"
    return {
        "names": names,
        "x": x,
        "wishes": wishes,
        "gone": gone,
        "managed": managed,
        "managed_wish": (queue + 1) % CPUS,
        "missing": f"{word}-{r.randrange(10, 99)}",
        "rate": r.randrange(40, 60),
        "times": r.randrange(20, 60),
    }


@pytest.fixture(scope="module")
def policies(drawn):
    """Three files: all that can happen, only what can be set, and what is watched."""
    lines = {name: {"cpus": cpus} for name, cpus in drawn["wishes"].items()}
    managed = {drawn["managed"]: {"cpus": [drawn["managed_wish"]]}}
    lost = {drawn["missing"]: {"cpus": [0]}, "virtio1-config": {"cpus": [CPUS + 3]}}
    rest = {"interval_s": 0.5, "quiet_s": QUIET_S}
    burst = {name: dict(line) for name, line in lines.items()}
    burst[drawn["names"][drawn["x"]]]["rate"] = drawn["rate"]
    files = {
        "policy": {**lost, **lines, **managed},
        "good": lines,
        "watch": {**managed, **burst},
    }
    return {f"klab/{name}.json": json.dumps({"lines": wish, **rest}) for name, wish in files.items()}


@pytest.fixture(scope="module")
def modules(lab):
    built = lab.restored().make()
    names = ("eduq.ko", "edupoke.ko", "steer.py", "irqwatch.py")
    return {f"klab/{name}": built.file(name) for name in names}


@pytest.fixture(scope="module")
def run(guest, modules, policies, drawn):
    """Runs a part of the script: what it noted, by name; and the files that the programs left."""
    first, second = drawn["names"]
    words = {
        "first": first, "second": second, "lines": f"{first} {second} {drawn['managed']} virtio1-config",
        "managed": drawn["managed"], "moved": drawn["names"][1 - drawn["x"]], "x": drawn["x"],
        "times": drawn["times"], "gone": drawn["gone"], "last": CPUS - 1, "burst": BURST_S,
    }  # fmt: skip

    def run(part):
        script = (HEAD + part).format(**words)
        ran = guest(script, files={**modules, **policies}, base="debian", deadline_s=DEADLINE_S)
        noted = dict(re.findall(r"^([\w.-]+): ?(.*?) *$", ran.output.decode(errors="replace"), re.M))
        left = {name: data.decode(errors="replace") for name, data in ran.results.items()}
        return {**noted, **{f"file-{name}": text for name, text in left.items()}}

    return run


@pytest.fixture(scope="module")
def steered(run):
    """What steer.py made of a policy."""
    return run(STEER)


@pytest.fixture(scope="module")
def seen(run):
    """What irqwatch.py said, and did, while things happened."""
    return run(WATCH)


def report(seen, name):
    """What steer.py printed, as data."""
    text = seen.get(f"file-{name}", "")
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        expect.fail(
            "steer.py prints one JSON object",
            observed=(text + seen.get("file-errors", ""))[-400:] or "nothing",
            expected='{"name": {"irq": …, "state": …}, …}',
            look="steer.py",
        )
    return said


def events(seen, kind):
    """The watcher's events of a kind; a line that is no JSON tells nothing."""
    found = []
    for line in seen.get("file-events", "").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == kind:
            found.append(event)
    return found


def number(seen, name):
    return int(seen[name]) if seen.get(name, "").isdigit() else None


def test_each_line_has_its_word(steered, drawn):
    said = report(steered, "report")
    words = {
        **dict.fromkeys(drawn["names"], "set"),
        drawn["managed"]: "managed",
        drawn["missing"]: "missing",
        "virtio1-config": "refused",
    }
    for name, word in words.items():
        irq = None if word == "missing" else number(steered, f"irq-{name}")
        expect.equal(
            said.get(name),
            {"irq": irq, "state": word},
            f"what steer.py says of the line {name}",
            look="steer.py; /proc/interrupts; smp_affinity_list and the error of writing to it",
        )
    expect.equal(steered.get("status"), "1", "exit status when not all lines could be set", look="steer.py")


def test_the_wishes_are_in_place(steered, drawn):
    for name, cpus in drawn["wishes"].items():
        expect.equal(
            steered.get(f"asked-{name}"),
            ",".join(map(str, cpus)),
            f"CPUs in smp_affinity_list of {name}",
            look="steer.py",
        )
    expect.equal(
        steered.get("managed-after"), steered.get("managed-before"), "a managed line stays", look="steer.py"
    )


def test_interrupts_arrive_there(steered, drawn):
    for name, cpus in drawn["wishes"].items():
        before, after = (
            [int(word) for word in steered.get(f"{when}-{name}", "").split(",") if word.isdigit()]
            for when in ("before", "after")
        )
        grown = [b - a for a, b in zip(before, after, strict=True)]
        expect.equal(
            grown,
            [drawn["times"] if cpu in cpus else 0 for cpu in range(CPUS)],
            f"interrupts of {name} on each CPU, after the policy",
            look="/proc/interrupts; effective_affinity_list",
        )


def test_irqbalance_is_told(steered, drawn):
    text = steered.get("file-irqbalance.env", "")
    match = re.search(r'^IRQBALANCE_ARGS="(.*)"$', text, re.M)
    banned = sorted(re.findall(r"--banirq=(\d+)", match[1])) if match else None
    expect.equal(
        banned,
        sorted(steered.get(f"irq-{name}", "") for name in drawn["names"]),
        "lines that irqbalance is told to leave alone: those that were set",
        look="irqbalance.env: IRQBALANCE_ARGS",
    )


def test_the_watcher_begins(seen):
    expect.equal(seen.get("good-status"), "0", "exit status when all lines were set", look="steer.py")
    expect.equal(
        len(events(seen, "ready")),
        1,
        "irqwatch.py says once that it is ready",
        look=seen.get("file-errors", "")[-400:] or "irqwatch.py",
    )
    expect.equal(
        seen.get("told-start"), "1", "and nothing else: all lines are as they should", look="irqwatch.py"
    )


def test_bursts(seen, drawn):
    name = drawn["names"][drawn["x"]]
    expect.equal(
        seen.get("told-trickle"), seen.get("told-start"), "a few interrupts are no burst", look="rate"
    )
    told = [(event.get("irq"), event.get("name")) for event in events(seen, "rate")]
    expect.equal(
        told,
        [(number(seen, f"irq-{name}"), name)] * 2,
        "two bursts of some seconds are two events, of the line that had them",
        look="irqwatch.py: when does a burst begin, and when is it over? counts of all CPUs",
    )
    rates = [event.get("rate") for event in events(seen, "rate")]
    expect.holds(
        all(isinstance(rate, int | float) and rate > drawn["rate"] for rate in rates),
        "an event names the rate, per second",
        observed=rates,
        expected=f"more than the {drawn['rate']} of the policy",
        look="irqwatch.py",
    )


def test_what_was_moved_is_put_back(seen, drawn):
    name = drawn["names"][1 - drawn["x"]]
    wish = ",".join(map(str, drawn["wishes"][name]))
    told = events(seen, "moved")
    expect.equal(
        (told[0].get("irq"), told[0].get("name"), told[0].get("from")) if told else None,
        (number(seen, f"irq-{name}"), name, f"0-{CPUS - 1}"),
        "the first line that was told as moved",
        look="irqwatch.py",
    )
    expect.equal(seen.get("back"), wish, f"CPUs of {name} after somebody had moved it", look="irqwatch.py")


def test_a_cpu_that_goes_and_comes(seen, drawn):
    name = drawn["names"][1 - drawn["x"]]
    wish = ",".join(map(str, drawn["wishes"][name]))
    expect.holds(
        seen.get("away", wish) != wish,
        "the kernel moves a line away from a CPU that goes offline",
        observed=seen.get("away"),
        expected=f"other CPUs than {wish}",
        look="/proc/irq/*/smp_affinity_list",
    )
    expect.equal(
        seen.get("returned"), wish, f"CPUs of {name} when its CPU is back", look="irqwatch.py: it tries again"
    )
    others = [event for event in events(seen, "moved") if event.get("name") != name]
    expect.equal(
        others, [], "no other line is told as moved, the managed one least of all", look="irqwatch.py"
    )
    count = len(events(seen, "moved"))
    expect.equal(count, 2, "each move is told once, also when it takes long to undo", look="irqwatch.py")
