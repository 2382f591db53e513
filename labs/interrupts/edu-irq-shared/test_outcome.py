# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupts raised in random order, on the shared line and as messages; drivers that come and go."""

import re

import pytest

from klab.testing import expect

DEVICES = ("0000:00:10.0", "0000:00:14.0")  # in the order in which edupoke counts them
DEADLINE_S = 150
ROUNDS = 12  # unbinds and binds under load
SCRIPT = r"""
cd /klab; D=/sys/bus/pci/drivers/eduirq; T=/sys/kernel/tracing; A={a}; B={b}
say() {{ name=$1; shift; out=$("$@" 2>&1); echo "$name: [$?] $(echo "$out" | tr '\n' ' ')"; }}
poke() {{ echo "$*" 2>&1 >/proc/edupoke; }}
counters() {{ sleep 0.2; for d in $A $B; do echo $(cat $D/$d/$1 2>&1); done; }}
lines() {{ grep -E "$A|$B" /proc/interrupts; }}
all() {{ say $1-lines lines; for c in handled declined causes; do say $1-$c counters $c; done; }}
mount -t tracefs tracefs $T
insmod edupoke.ko || exit 1
say line insmod eduirq.ko
say line-bound ls $D
echo 1 >$T/events/irq/irq_handler_entry/enable; echo 1 >$T/events/irq/irq_handler_exit/enable
all before
n=0; for p in {pokes}; do n=$((n + 1)); say poke-$n poke $(echo $p | tr , ' '); done
all after
echo 0 >$T/events/enable
echo "trace: [0] $(grep -E 'irq_handler_(entry|exit)' $T/trace | sed 's/.*irq_handler_//' | tr '\n' ';')"

# A loses its driver, and raises; B goes on.
say orphan sh -c "echo $A >$D/unbind"
say orphan-left cat /proc/interrupts
say orphan-raise poke 0 {stale} 0
sleep 1; dmesg | grep -q 'nobody cared' && exit
say orphan-other poke 1 1 {others}
say orphan-count cat $D/$B/handled
say adopt sh -c "echo $A >$D/bind"
say adopt-handled counters handled
say adopt-poke poke 0 {stale} 3
say adopt-again counters handled

# B interrupts all the time while A's driver comes and goes.
poke 1 1 {load} >/tmp/load; echo "load-first: [$?] $(cat /tmp/load)"
echo "1 1 {load}" >/proc/edupoke & job=$!
for n in $(seq {rounds}); do echo $A >$D/unbind; echo $A >$D/bind; done 2>&1 | head -n 3
wait $job; echo "load: [$?]"
say load-handled counters handled

say line-gone rmmod eduirq
say gone lines

say msi insmod eduirq.ko msi=1
all msi-before
n=0; for p in {pokes}; do n=$((n + 1)); say msi-poke-$n poke $(echo $p | tr , ' '); done
all msi-after
say msi-gone rmmod eduirq
say gone-again lines
say again insmod eduirq.ko
say again-poke poke 1 1 5
say again-handled counters handled
rmmod eduirq
"""


@pytest.fixture(scope="module")
def modules(lab):
    """The student's driver and the grader's edupoke, as files for a guest."""
    built = lab.restored().make()
    return {f"klab/{name}": built.file(name) for name in ("eduirq.ko", "edupoke.ko")}


@pytest.fixture(scope="module")
def drawn(lab):
    """What this seed has drawn: pokes are (device, causes, times)."""
    r = lab.random
    pokes = [(r.randrange(2), r.randrange(1, 1 << 24), r.randrange(3, 30)) for _ in range(5)]
    pokes += [(device, r.randrange(1, 1 << 24), r.randrange(3, 30)) for device in (0, 1)]
    r.shuffle(pokes)
    return {
        "pokes": pokes,
        "stale": r.randrange(1, 1 << 16),
        "others": r.randrange(5, 40),
        "load": r.randrange(400, 700),
    }


@pytest.fixture(scope="module")
def answers(guest, modules, drawn):
    """(exit status, text) by the name of each step."""
    words = " ".join(",".join(map(str, poke)) for poke in drawn["pokes"])
    script = SCRIPT.format(a=DEVICES[0], b=DEVICES[1], rounds=ROUNDS, **{**drawn, "pokes": words})
    ran = guest(script, files=modules, deadline_s=DEADLINE_S)
    found = re.findall(r"^([\w-]+): \[(\d+)\] ?(.*?) *$", ran.output.decode(errors="replace"), re.M)
    return {name: (int(status), text) for name, status, text in found}


def answer(answers, name, what, look):
    """The text of a step that must have gone well."""
    status, text = answers.get(name, (-1, "(the guest did not get that far)"))
    expect.holds(status == 0, what, observed=text or f"it failed ({status})", expected="success", look=look)
    return text


def counters(answers, name):
    """A counter of both devices."""
    words = answers.get(name, (0, ""))[1].split()
    if len(words) != len(DEVICES) or not all(word.isdigit() for word in words):
        expect.fail(
            f"both devices are bound and count ({name})",
            observed=" ".join(words) or "nothing",
            expected="a number for each",
            look="edu_probe; dmesg",
        )
    return [int(word) for word in words]


def raised(drawn, device):
    return sum(times for which, _, times in drawn["pokes"] if which == device)


def numbers(text, device):
    """(irq, count) of a device's line in /proc/interrupts; a shared line names both devices."""
    for irq, counts, names in re.findall(r"(?<!\S)(\d+):((?: +\d+){2})(.*?)(?= \d+: |$)", text):
        if device in names:
            return int(irq), sum(map(int, counts.split()))
    return None


def test_both_share_the_line(answers):
    answer(answers, "line", "the driver loads", "edu_probe; dmesg")
    counters(answers, "before-handled")
    lines = answer(answers, "before-lines", "the line is in /proc/interrupts", "request_irq: its name")
    expect.holds(
        all(name in lines for name in DEVICES) and numbers(lines, DEVICES[0]) == numbers(lines, DEVICES[1]),
        "one line of /proc/interrupts names both devices",
        observed=lines,
        expected=f"an IO-APIC line with {' and '.join(DEVICES)}",
        look="request_irq",
    )


def pokes_arrive(answers, drawn, mode, names):
    for number, (device, causes, times) in enumerate(drawn["pokes"], start=1):
        answer(
            answers,
            f"{mode}poke-{number}",
            f"{times} interrupts of device {device} are acknowledged (causes {causes:#x})",
            f"{names}; what is written to 0x64",
        )


def grown(answers, counter, mode=""):
    """What the pokes have added to a counter of both devices."""
    before, after = (counters(answers, f"{mode}{when}-{counter}") for when in ("before", "after"))
    return [now - then for then, now in zip(before, after, strict=True)]


def exactly(answers, drawn, mode):
    for device, (name, seen) in enumerate(zip(DEVICES, grown(answers, "handled", mode), strict=True)):
        expect.equal(
            seen, raised(drawn, device), f"{name} counts its own interrupts as handled", look="edu_interrupt"
        )


def test_each_counts_its_own(answers, drawn):
    pokes_arrive(answers, drawn, "", "edu_interrupt")
    exactly(answers, drawn, "")
    for device, (name, seen) in enumerate(zip(DEVICES, grown(answers, "causes"), strict=True)):
        bits = sum(causes.bit_count() * times for which, causes, times in drawn["pokes"] if which == device)
        expect.equal(seen, bits, f"causes that {name} acknowledged", look="edu_interrupt: hweight32")


def test_the_line_agrees(answers, drawn):
    both = [numbers(answers.get(f"{when}-lines", (0, ""))[1], DEVICES[0]) for when in ("before", "after")]
    seen = both[1][1] - both[0][1] if all(both) else None
    expect.equal(
        seen,
        raised(drawn, 0) + raised(drawn, 1),
        "interrupts of the line in /proc/interrupts",
        look="/proc/interrupts; a handler that does not acknowledge is called again",
    )


def test_what_handlers_return(answers, drawn):
    """By the kernel's own tracepoints, which handler said what."""
    text = answers.get("trace", (0, ""))[1]
    said = re.findall(r"entry: irq=\d+ name=([\w:.]+);exit: irq=\d+ ret=(\w+)", text)
    for device, name in enumerate(DEVICES):
        mine, other = raised(drawn, device), raised(drawn, 1 - device)
        told = [ret for of, ret in said if of == name]
        expect.equal(
            (told.count("handled"), told.count("unhandled")),
            (mine, other),
            f"{name}: calls that it claimed, and that it declined with IRQ_NONE",
            look="edu_interrupt: what it returns; tracepoint irq:irq_handler_exit",
        )


def test_declined_is_counted(answers, drawn):
    for device, (name, seen) in enumerate(zip(DEVICES, grown(answers, "declined"), strict=True)):
        expect.equal(
            seen,
            raised(drawn, 1 - device),
            f"{name} counts calls for the other device as declined",
            look="edu_interrupt",
        )


def test_a_device_without_driver_is_quiet(answers, drawn):
    answer(answers, "orphan", "the first device can be unbound", "edu_remove")
    left = answer(answers, "orphan-left", "/proc/interrupts reads", "edu_remove")
    expect.holds(
        DEVICES[0] not in left and DEVICES[1] in left,
        "the handler of the device that was unbound is gone, the other one's is not",
        observed=left[-600:],
        expected=f"{DEVICES[1]} alone",
        look="free_irq in edu_remove",
    )
    answer(
        answers,
        "orphan-other",
        "the other device goes on while the first raises without a driver",
        "edu_remove: pci_intx()",
    )
    expect.equal(
        answers["orphan-count"][1],
        str(counters(answers, "after-handled")[1] + drawn["others"]),
        "interrupts that the other device has counted meanwhile",
        look="edu_interrupt",
    )


def test_a_driver_that_comes_back(answers):
    answer(answers, "adopt", "the device can be bound again", "edu_probe")
    expect.equal(
        counters(answers, "adopt-handled")[0],
        0,
        "what the device raised without a driver is dropped, not counted",
        look="edu_probe: what is acknowledged before the line is opened?",
    )
    answer(answers, "adopt-poke", "it interrupts again", "edu_probe: pci_alloc_irq_vectors opens the line")
    expect.equal(
        counters(answers, "adopt-again")[0], 3, "and its interrupts are counted", look="edu_interrupt"
    )


def test_unbinding_under_load(answers, drawn):
    answer(
        answers,
        "load",
        "the other device interrupts while the driver comes and goes",
        "edu_remove and edu_probe: their order",
    )
    before = int(answers["orphan-count"][1])
    expect.equal(
        counters(answers, "load-handled")[1] - before,
        2 * drawn["load"],
        "no interrupt of the other device is lost or counted twice",
        look="edu_interrupt",
    )
    answer(answers, "line-gone", "the driver can be unloaded", "edu_remove")
    expect.equal(answers["gone"][1], "", "nothing is left in /proc/interrupts", look="free_irq")


def test_messages(answers, drawn):
    answer(answers, "msi", "the driver loads with msi=1", "edu_probe: pci_alloc_irq_vectors")
    lines = answer(answers, "msi-before-lines", "vectors are in /proc/interrupts", "request_irq: its name")
    irqs = {(numbers(lines, name) or [None])[0] for name in DEVICES}
    expect.holds(
        len(irqs) == len(DEVICES) and None not in irqs and lines.count("PCI-MSI") == len(DEVICES),
        "each device has an MSI vector of its own",
        observed=lines,
        expected="two lines PCI-MSI",
        look="PCI_IRQ_MSI; pci_irq_vector",
    )
    pokes_arrive(answers, drawn, "msi-", "pci_set_master; edu_interrupt")
    exactly(answers, drawn, "msi-")
    expect.equal(
        counters(answers, "msi-after-declined"),
        [0, 0],
        "nobody is asked for others any more",
        look="pci_irq_vector",
    )
    for device, name in enumerate(DEVICES):
        seen = numbers(answers["msi-after-lines"][1], name)
        expect.equal(
            seen and seen[1],
            raised(drawn, device),
            f"interrupts of {name} in /proc/interrupts",
            look="/proc/interrupts",
        )


def test_back_to_the_line(answers):
    answer(answers, "msi-gone", "the driver can be unloaded after messages", "edu_remove")
    expect.equal(answers["gone-again"][1], "", "nothing is left in /proc/interrupts", look="free_irq")
    answer(answers, "again", "the driver loads once more, for the line", "edu_probe")
    answer(answers, "again-poke", "and the line works", "pci_free_irq_vectors; pci_intx")
    expect.equal(counters(answers, "again-handled"), [0, 5], "with its counters at zero", look="edu_probe")
