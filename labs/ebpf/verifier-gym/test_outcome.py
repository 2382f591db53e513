# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten programs: the verifier takes each one, and each computes what its head says, edges too."""

import json
import re
import struct
from dataclasses import dataclass

import pytest

from klab.testing import expect

# The root of the kernels that clang builds has the compiler; the one of this lab's kernel has not.
TOOLS = "llvm"
MEMORY, DEADLINE_S = 1024, 300.0
XDP, TC, SYSCALL = 6, 3, 31
INSTRUCTION = 8  # bytes
FEW = 5  # no program is judged by fewer steps


@dataclass(frozen=True)
class Exercise:
    """One program. least: instructions; words: with which 6.12's verifier refuses the starter's.

    service: it is loaded without the right to look into the kernel's memory.
    """

    words: str
    least: int
    kind: int = XDP
    service: bool = False


EXERCISES = {
    "price": Exercise("R0 invalid mem access 'map_value_or_null'", 25),
    "grades": Exercise("math between map_value pointer and register with unbounded min value", 15),
    "visits": Exercise("invalid indirect read from stack R2", 22, service=True),
    "chain": Exercise("infinite loop detected", 11),
    "report": Exercise("Unreleased reference", 29),
    "lane": Exercise("math between ctx pointer and register", 10, TC),
    "twins": Exercise("combined stack size of 2 calls is", 10),
    "known": Exercise("leaks addr into map", 19, service=True),
    "scale": Exercise("sleepable helper bpf_copy_from_user#148 in rcu_read_lock region", 24, SYSCALL),
    "option": Exercise("invalid access to packet", 8),
}


@pytest.fixture(scope="module")
def drawn(lab):
    """{program: [(step, answer, what was done)]}."""
    models = lab.module("models")
    steps = {name: models.Steps(lab.random) for name in EXERCISES}
    for name, collected in steps.items():
        getattr(models, name)(collected)
    return {name: collected.all for name, collected in steps.items()}


def compiled(bench):
    """The objects of a lab's files, by the names of their programs."""
    built = bench.make(tools=TOOLS)
    return {name: built.file(f"{name}.bpf.o") for name in EXERCISES}


@pytest.fixture(scope="module")
def answers(lab, guest, drawn):
    """{program: what run.py says of it}; the starter's programs are named `was-…`."""
    files = {"klab/run.py": (lab.spec.folder / "grader/run.py").read_bytes()}
    plan = {}
    for prefix, bench in (("was-", lab.starter()), ("", lab.restored())):
        for name, path in compiled(bench).items():
            files[f"klab/gym/{prefix}{name}.bpf.o"] = path.read_bytes()
            steps = [] if prefix else [step for step, *_ in drawn[name]]
            plan[prefix + name] = {"service": EXERCISES[name].service, "steps": steps}
    files["klab/plan"] = json.dumps(plan)
    ran = guest("python3 /klab/run.py /klab/gym /klab/plan >/klab/out/answers", files=files, base="debian",
                memory=MEMORY, deadline_s=DEADLINE_S)  # fmt: skip
    try:
        return json.loads(ran.results.get("answers", b""))
    except ValueError:
        expect.cannot_tell(f"the guest has left no answers: {ran.output.decode(errors='replace')[-500:]}")


def verdict(log):
    """(what the verifier says, the place in the source that it was at)."""
    places = re.findall(r"^.*; (.*) @ (\S+:\d+)$", log, re.M)
    source, place = places[-1] if places else ("", "")
    inner = log.partition("BEGIN PROG LOAD LOG --\n")[2].partition("-- END PROG LOAD LOG")[0] or log
    lines = [line for line in inner.splitlines() if not line.startswith(("processed ", "libbpf: map "))]
    # The instruction that was looked at last, and all that is said behind it.
    last = max((n for n, line in enumerate(lines) if re.match(r"\d+: \(", line)), default=0)
    said = [line for line in lines[last:] if not line.startswith(";")]
    shown = [*([f"{place}: {source}"] if place else []), *said[:12]]
    return "\n".join(line[:300] for line in shown), place


@pytest.mark.parametrize("name", EXERCISES)
def test_loads(answers, name):
    exercise, told = EXERCISES[name], answers[name]
    before = answers[f"was-{name}"]["refused"]
    if exercise.words not in before:
        expect.cannot_tell(f"this kernel does not refuse the starter's {name}: {before[-300:]}")
    said, place = verdict(told["refused"])
    expect.holds(not told["refused"], f"the verifier takes {name}", observed=said,
                 expected="a program that is loaded", look=place or f"{name}.bpf.c")  # fmt: skip
    expect.equal(told["type"], exercise.kind, f"{name} is still of the type it was (enum bpf_prog_type)",
                 look=f"SEC() in {name}.bpf.c")  # fmt: skip
    long = told["bytes"] // INSTRUCTION
    expect.holds(long >= exercise.least, f"{name} still does its work", observed=f"{long} instructions",
                 expected=f"at least {exercise.least}", look=f"what is gone from {name}.bpf.c")  # fmt: skip


def alike(name, seen, wanted):
    """Whether an answer is the wanted one; where the head leaves something open, so does this."""
    if name == "known" and isinstance(seen, str) and len(seen) == len(wanted) == 32:
        (there, points), (right, has) = (struct.unpack("<QQ", bytes.fromhex(text)) for text in (seen, wanted))
        return (bool(there), points) == (bool(right), has)
    if isinstance(wanted, list) and len(wanted) == 3 and isinstance(seen, list):
        error, value, context = wanted
        # Of what scale leaves in its context the address is no result; lane leaves nothing of interest.
        left = seen[2][16:] if name == "scale" else seen[2]
        return seen[:2] == [error, value] and (context is None or left == context)
    return seen == wanted


@pytest.mark.parametrize("name", EXERCISES)
def test_computes(answers, drawn, name):
    told, claim, look = answers[name], f"{name} computes what its head says", f"{name}.bpf.c and its head"
    if told["refused"]:
        expect.fail(claim, observed="it was refused", expected="a program that is loaded", look=look)
    for (step, wanted, what), seen in zip(drawn[name], told["steps"], strict=True):
        if not alike(name, seen, wanted):
            shown, right = str(seen), str(wanted)
            if seen is None:
                shown = f"no such element; (type, key, value, elements) of the maps: {told['maps']}"
            elif step[0] == "run":
                shown = f"returned {seen[1]}, error {seen[0]} {seen[2]}\nframe {step[1][:160]}"
                right = f"returns {wanted[1]} {wanted[2] or ''}"
            expect.fail(claim, observed=f"{what}: {shown}", expected=right[:400], look=look)
    expect.holds(len(told["steps"]) > FEW, claim, observed=len(told["steps"]), expected="steps", look=look)
