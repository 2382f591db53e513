# SPDX-License-Identifier: GPL-3.0-or-later
"""Suspects under names of the grader's, slow in turn; the hunter has to name each, and nobody innocent."""

import json
import re

import pytest

from klab.testing import expect

VERBS = ("drain", "flush", "sweep", "merge", "probe", "reap", "sort", "drop", "fetch", "scan")
THINGS = (
    "quarry",
    "gantry",
    "hopper",
    "trellis",
    "cistern",
    "kiln",
    "weir",
    "sluice",
)  # no word of the kernel
KINDS = ("irq", "timer", "tasklet", "work", "irqs-off")
MACROS = {
    "timer": "TIMER_FN",
    "tasklet": "TASKLET_FN",
    "work": "WORK_FN",
    "irqs-off": "HOLD_FN",
    "nap": "NAP_FN",
}
SECONDS = 2.5
DEADLINE_S = 300
HUNT_S = 60
NEAR = 3  # a duration is right within this factor: two programs that watch the same differ, too
SCRIPT = """
cd /klab; export PYTHONDONTWRITEBYTECODE=1
for slow in {order}; do
  insmod suspects.ko slow=$slow ms={ms} nap_ms={nap_ms} || exit 1
  timeout {hunt} python3 hunt.py {seconds} >/klab/out/$slow 2>/klab/out/$slow.errors
  echo "$slow: $? $(cat /sys/module/suspects/parameters/took_ms)"
  # What the hunter left switched on is not to slow down the next one.
  echo nop >/sys/kernel/tracing/current_tracer; echo 0 >/sys/kernel/tracing/events/enable
  rmmod suspects
done
"""


@pytest.fixture(scope="module")
def drawn(lab):
    """Names that are not alike; which kinds are slow, and how much."""
    r = lab.random
    things = r.sample(THINGS, len(MACROS) + 1)
    names = {kind: f"{r.choice(VERBS)}_{thing}" for kind, thing in zip(MACROS, things, strict=False)}
    names["irq"] = f"{things[-1]}-{r.choice(('rx', 'tx', 'event'))}"
    # A timer and interrupts that are off each time: the two that are overlooked most often.
    order = ["nothing", "timer", "irqs-off", r.choice(("irq", "tasklet", "work"))]
    r.shuffle(order)
    return {"names": names, "order": order, "ms": r.randrange(25, 46), "nap_ms": r.randrange(50, 90)}


@pytest.fixture(scope="module")
def files(lab, drawn):
    """The grader's suspects, and the student's hunter."""
    lines = [f"#define {macro} {drawn['names'][kind]}" for kind, macro in MACROS.items()]
    lines.append(f'#define IRQ_NAME "{drawn["names"]["irq"]}"')
    built = lab.restored({"names.h": "\n".join(lines) + "\n"}).make()
    return {f"klab/{name}": built.file(name) for name in ("suspects.ko", "hunt.py")}


@pytest.fixture(scope="module")
def seen(guest, files, drawn):
    """What the hunter said in each round: {slow: (exit status, ms that it really took, text, errors)}."""
    numbers = {"ms": drawn["ms"], "nap_ms": drawn["nap_ms"], "seconds": SECONDS, "hunt": HUNT_S}
    script = SCRIPT.format(order=" ".join(drawn["order"]), **numbers)
    ran = guest(script, files=files, base="debian", deadline_s=DEADLINE_S)
    rounds = re.findall(r"^([\w-]+): (\d+) (\d+)", ran.output.decode(errors="replace"), re.M)
    left = {name: data.decode(errors="replace") for name, data in ran.results.items()}
    return {
        slow: (int(status), int(took), left.get(slow, ""), left.get(f"{slow}.errors", ""))
        for slow, status, took in rounds
    }


def said(seen, slow):
    """The hunter's word in a round, and what the slow one really took."""
    status, took, text, errors = seen.get(slow, (-1, 0, "", "the guest did not get that far"))
    try:
        word = json.loads(text)
    except ValueError:
        word = None
    expect.holds(
        status == 0 and isinstance(word, dict),
        f"hunt.py ends well and prints one JSON object (slow: {slow})",
        observed=f"exit status {status}: {(text + errors)[-400:]}",
        expected=f"an object within {HUNT_S} s",
        look="hunt.py; its head says what is printed",
    )
    return word, took


@pytest.mark.parametrize("turn", range(4))
def test_round(seen, drawn, turn):
    slow = drawn["order"][turn]
    word, took = said(seen, slow)
    if slow == "nothing":
        expect.equal(
            word.get("kind", "(no kind)"),
            None,
            "nothing is slow, so nobody is accused",
            look="the limit; how many runs were slow; a work item that sleeps stalls nobody",
        )
        return
    expect.equal(
        (word.get("kind"), word.get("name")),
        (slow, drawn["names"][slow]),
        "who stalls the machine (kind and name)",
        look={
            "irq": "irq:irq_handler_entry and irq_handler_exit",
            "timer": "timer:timer_expire_entry and timer_expire_exit",
            "tasklet": "irq:tasklet_entry and tasklet_exit",
            "work": "workqueue:workqueue_execute_start and workqueue_execute_end; sched:sched_switch",
            "irqs-off": "the tracer irqsoff, several times",
        }[slow],
    )
    ms = word.get("ms")
    expect.holds(
        isinstance(ms, int | float) and took / NEAR <= ms <= took * NEAR,
        f"how long {drawn['names'][slow]} typically takes",
        observed=f"{ms} ms",
        expected=f"about {took} ms, which is what it measured itself",
        look="the unit of the time stamps; the median of its runs",
    )
