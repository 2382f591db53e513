# SPDX-License-Identifier: GPL-3.0-or-later
"""One kind of deferred work after the other; where each ran, by its own log and by tracepoints."""

import re

import pytest

from klab.testing import expect

# The grader's own, whatever the student did to them.
KINDS = ("tasklet", "soft-work", "work", "highpri", "unbound", "delayed")  # in the order of their bits
SLEEPING = KINDS[2:]
# By what a run is known: context, and the name of the task where it is one of the kernel's own.
WHERE = {
    "tasklet": ("softirq", r".*"),
    "soft-work": ("softirq", r".*"),
    "work": ("task", r"kworker/(\d+):\d+"),
    "highpri": ("task", r"kworker/(\d+):\d+H"),
    "unbound": ("task", r"kworker/u\d+:\d+"),
    "delayed": ("task", r"kworker/(\d+):\d+"),
    "thread": ("task", r"irq/\d+-bh"),
}
STARTS = {
    "tasklet": "tasklet_schedule",
    "soft-work": "queue_work on a BH workqueue (WQ_BH), for example system_bh_wq",
    "work": "queue_work on system_wq",
    "highpri": "queue_work on a workqueue with WQ_HIGHPRI",
    "unbound": "queue_work on a workqueue with WQ_UNBOUND",
    "delayed": "queue_delayed_work",
    "thread": "request_threaded_irq",
}
DEADLINE_S = 150
STORM = 30  # events for the delayed work, one every 100 ms
# Between events: a run, its nap of 10 ms and a loaded host in between.
SCRIPT = r"""
cd /klab; T=/sys/kernel/tracing
say() {{ name=$1; shift; out=$("$@" 2>&1); echo "$name: [$?] $(echo "$out" | tr '\n' ';')"; }}
poke() {{ echo "$*" 2>&1 >/proc/edupoke; }}
log() {{ say $1 cat /proc/bhlog; echo >/proc/bhlog; }}
line() {{ grep 'fasteoi .*\<bh$' /proc/interrupts; }}
mount -t tracefs tracefs $T
insmod edupoke.ko && insmod bhlog.ko || exit 1
say load insmod bh.ko delay_ms={delay}
for e in irq/tasklet_entry workqueue/workqueue_execute_start; do echo 1 >$T/events/$e/enable; done
for kind in {order}; do
  bit=$((1 << kind))
  echo >$T/trace; echo >/proc/bhlog
  for n in $(seq {times}); do poke 0 $bit 1; sleep 0.15; [ $kind != 5 ] || sleep {pause}; done
  log run-$kind
  say trace-$kind grep -o -E '(tasklet_entry|workqueue_execute_start):.*\[bh\]' $T/trace
done
echo 0 >$T/events/enable
poke 0 {mask} 1; sleep 0.3; sleep {pause}
log together

say line-before line
for n in $(seq {times}); do say thread-$n poke 1 1 1; done
say line-after line
log thread

for n in $(seq {storm}); do poke 0 32 1; sleep 0.1; done; sleep {pause}
log storm

# The module goes while its work sleeps, and while delayed work waits.
echo 2500 >/sys/module/bhlog/parameters/nap_ms
poke 0 {mask} 1; sleep 0.2
say busy cat /sys/module/bhlog/parameters/running
say unload rmmod bh
say running cat /sys/module/bhlog/parameters/running
echo >/proc/bhlog; sleep 2.5; sleep {pause}
log after
say left grep -c '\<bh$' /proc/interrupts
say load-again insmod bh.ko delay_ms={delay}
echo 10 >/sys/module/bhlog/parameters/nap_ms; echo >/proc/bhlog
poke 0 1 1; sleep 0.2
log again
say unload-again rmmod bh
"""


@pytest.fixture(scope="module")
def modules(lab):
    """The student's driver with the grader's modules, as files for a guest."""
    built = lab.restored().make()
    return {f"klab/{name}": built.file(name) for name in ("bh.ko", "bhlog.ko", "edupoke.ko")}


@pytest.fixture(scope="module")
def drawn(lab):
    order = list(range(len(KINDS)))
    lab.random.shuffle(order)
    return {"order": order, "times": lab.random.randrange(3, 6), "delay": lab.random.randrange(250, 500)}


@pytest.fixture(scope="module")
def answers(guest, modules, drawn):
    """(exit status, text) by the name of each step."""
    script = SCRIPT.format(
        delay=drawn["delay"],
        times=drawn["times"],
        order=" ".join(map(str, drawn["order"])),
        pause=drawn["delay"] / 1000 + 0.2,
        mask=(1 << len(KINDS)) - 1,
        storm=STORM,
    )
    ran = guest(script, files=modules, deadline_s=DEADLINE_S)
    found = re.findall(r"^([\w-]+): \[(\d+)\] ?(.*?) *$", ran.output.decode(errors="replace"), re.M)
    return {name: (int(status), text) for name, status, text in found}


def answer(answers, name, what, look):
    """The text of a step that must have gone well."""
    status, text = answers.get(name, (-1, "(the guest did not get that far)"))
    expect.holds(status == 0, what, observed=text or f"it failed ({status})", expected="success", look=look)
    return text


def runs(answers, name, kind=""):
    """What bhlog wrote, a dictionary for each run."""
    lines = answers.get(name, (0, ""))[1].split(";")
    found = [dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", line)) for line in lines if line.startswith("kind=")]
    return [run for run in found if not kind or run["kind"] == kind]


@pytest.mark.parametrize("kind", KINDS)
def test_each_event_is_one_run(answers, drawn, kind):
    answer(answers, "load", "the driver loads", "dmesg; edu_probe")
    seen = runs(answers, f"run-{KINDS.index(kind)}")
    expect.equal(
        [run["kind"] for run in seen],
        [kind] * drawn["times"],
        f"{drawn['times']} events, one after the other, are as many runs of {kind}",
        look=f"edu_interrupt: {STARTS[kind]}",
    )
    expect.equal(
        {run["hard"] for run in seen},
        {"1"},
        f"events of {kind} are taken in hard interrupt context",
        look="edu_interrupt",
    )


def right_place(run, kind):
    context, task = WHERE[kind]
    match = re.fullmatch(task, run["task"])
    expect.holds(
        run["context"] == context and match is not None,
        f"who runs {kind}",
        observed=f"context {run['context']}, task {run['task']}",
        expected=f"context {context}, task {task if context == 'task' else 'any'}",
        look=STARTS[kind],
    )
    if match.groups():
        expect.equal(
            match[1], run["cpu"], f"{kind}: the worker is one of the CPU that it runs on", look=STARTS[kind]
        )


@pytest.mark.parametrize("kind", KINDS)
def test_who_runs_it(answers, kind):
    seen = runs(answers, f"run-{KINDS.index(kind)}")
    if not seen:
        expect.fail(f"{kind} runs", observed="no run", expected="a line in /proc/bhlog", look=STARTS[kind])
    for run in seen:
        right_place(run, kind)
    if kind in {"tasklet", "soft-work", "work", "highpri"}:
        expect.equal(
            [run["cpu"] for run in seen],
            [run["event_cpu"] for run in seen],
            f"{kind} runs on the CPU that asked for it",
            look=STARTS[kind],
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_says_so_too(answers, drawn, kind):
    """Tracepoints tell a tasklet from a work item; in softirq context nothing else does."""
    event = "tasklet_entry" if kind == "tasklet" else "workqueue_execute_start"
    traced = answers.get(f"trace-{KINDS.index(kind)}", (0, ""))[1].split(";")
    seen = [line.split(":")[0] for line in traced if line]
    expect.equal(seen, [event] * drawn["times"], f"tracepoints of {kind}", look=STARTS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_sleep(answers, kind):
    seen = runs(answers, f"run-{KINDS.index(kind)}")
    rule = "1" if kind in SLEEPING else "0"
    expect.holds(
        bool(seen) and all(run["may_sleep"] == rule for run in seen),
        f"{kind} {'may' if rule == '1' else 'must not'} sleep",
        observed=f"bhlog_run({kind}, may_sleep = {seen[0]['may_sleep']})" if seen else "no run",
        expected=f"may_sleep = {rule}; the log says preemptible={rule}",
        look="the contexts in /proc/bhlog",
    )


def test_causes_together(answers):
    seen = sorted(run["kind"] for run in runs(answers, "together"))
    expect.equal(seen, sorted(KINDS), "six causes in one interrupt start six runs", look="edu_interrupt")


def test_delayed_work_waits(answers, drawn):
    early = [int(run["ms"]) for run in runs(answers, "run-5") if int(run["ms"]) < drawn["delay"] - 10]
    expect.equal(
        early,
        [],
        f"runs of delayed work earlier than delay_ms={drawn['delay']} after their event (ms)",
        look="msecs_to_jiffies; queue_delayed_work",
    )
    seen = runs(answers, "storm", "delayed")
    expect.holds(
        3 <= len(seen) <= STORM * 100 // drawn["delay"] * 2,
        "an event every 100 ms: delayed work runs delay_ms after the first of those that wait, not the last",
        observed=f"{len(seen)} runs in {STORM} events",
        expected=f"about {STORM * 100 // drawn['delay']}",
        look="queue_delayed_work or mod_delayed_work?",
    )
    expect.equal(
        sum(int(run["events"]) for run in seen), STORM, "and no event is forgotten", look="edu_interrupt"
    )


def count(answers, name):
    words = answers.get(name, (0, ""))[1].split()
    return sum(map(int, words[1:3])) if len(words) > 3 else None


def test_the_threaded_handler(answers, drawn):
    for n in range(1, drawn["times"] + 1):
        answer(
            answers, f"thread-{n}", "the second device's interrupt is acknowledged", "edu_request; edu_thread"
        )
    seen = runs(answers, "thread")
    expect.equal(
        [run["kind"] for run in seen],
        ["thread"] * drawn["times"],
        "runs of the threaded handler",
        look="edu_thread",
    )
    for run in seen:
        right_place(run, "thread")
        expect.equal(run["may_sleep"], "1", "a threaded handler may sleep", look="edu_thread")
    before, after = count(answers, "line-before"), count(answers, "line-after")
    expect.equal(
        None if None in {before, after} else after - before,
        drawn["times"],
        "interrupts of the line: it is masked until the thread has acknowledged",
        look="IRQF_ONESHOT; /proc/interrupts",
    )


def test_it_goes_in_peace(answers):
    answer(answers, "unload", "the module can go while its work sleeps or waits", "bh_exit")
    expect.holds(
        int(answers["busy"][1].strip(";")) > 0,
        "work was asleep when the module was told to go",
        observed=answers["busy"][1],
        expected="some runs that have begun and not ended",
        look="edu_interrupt",
    )
    expect.equal(
        answers["running"][1].strip(";"),
        "0",
        "runs that have not ended when the module's code is gone",
        look="bh_exit: what waits for work?",
    )
    expect.equal(runs(answers, "after"), [], "runs that begin when the module is gone", look="bh_exit")
    expect.equal(
        answers["left"][1].strip(";"), "0", "its interrupts are given back", look="edu_remove: free_irq"
    )
    answer(answers, "load-again", "it loads once more", "bh_init")
    expect.equal([run["kind"] for run in runs(answers, "again")], ["tasklet"], "and works", look="bh_init")
    answer(answers, "unload-again", "and goes again", "bh_exit")
