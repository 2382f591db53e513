# SPDX-License-Identifier: GPL-3.0-or-later
"""Actors in and beside a guarded cgroup: what is refused, what is told, and what goes on as ever."""

import json
import re
import shutil
from dataclasses import dataclass

import pytest

from klab.errors import KlabError
from klab.testing import expect

TOOLS = "bpf"  # the root that has libbpf
MEMORY, DEADLINE_S = 768, 240.0
NO_WAY = 101  # the error of an address to which there is none
# Lines of libbpf's that say nothing, and how many of the others are shown.
QUIET, SHOWN = ("processed ", "libbpf: map ", "libbpf: elf", "-- "), 16


@dataclass
class Day:
    """What the guest has left. ran: {actor: [errno of each step]}; loop: how often one was not refused."""

    output: str
    said: str
    log: str
    ran: dict[str, list[int]]
    loop: int | None
    events: list[dict]
    census: dict[str, str]


@pytest.fixture(scope="module")
def plans(lab):
    return lab.module("plans").Plans(lab.random)


@pytest.fixture(scope="module")
def built(lab):
    """The guard, with the types of the lab's kernel, and the grader's programs, as a guest's files."""
    program = lab.restored().make("BTF=/kernel/vmlinux", tools=TOOLS).file("guard")
    ours = lab.builds / "grader"
    shutil.copytree(lab.spec.folder / "grader", ours)
    for name in ("try", "nothing"):
        said = lab.run(["gcc", "-O2", "-static", "-o", name, f"{name}.c"], folder=ours)
        if said.code:
            raise KlabError(f"the grader's own {name}.c does not build: {said.err}", step="grader")
    files = {f"klab/{name}": ours / name for name in ("try", "nothing", "day.sh")}
    return {**files, "klab/guard": program}


@pytest.fixture(scope="module")
def day(guest, built, plans):
    files = {**built, "klab/plan.loop": f"{plans.loop}\n"}
    files |= {f"klab/policy.{name}": text for name, text in plans.policies.items()}
    files |= {
        f"klab/plan.{name}": "".join(f"{step.line}\n" for step in steps) for name, steps in plans.runs.items()
    }
    ran = guest("bash /klab/day.sh", files=files, base="debian", cpus=2, memory=MEMORY, deadline_s=DEADLINE_S)
    output = ran.output.decode(errors="replace")
    left = {name: data.decode(errors="replace") for name, data in ran.results.items()}
    results = {
        name: [int(number) for number in re.findall(r"^\d+ (\d+)$", left.get(name, ""), re.M)]
        for name in plans.runs
    }
    events = []
    for line in left.get("events", "").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            break  # the guard was killed while it wrote
    loop = re.search(r"^0 (\d+)$", left.get("loop", ""), re.M)
    census = dict(re.findall(r"^census (\w+) (.*)$", output, re.M))
    events = [event for event in events if isinstance(event, dict)]
    found = Day(output, left.get("said", ""), left.get("log", ""), results, int(loop[1]) if loop else None,
                events, census)  # fmt: skip
    if "before" not in census:
        expect.cannot_tell(f"the guest has left nothing: {output[-800:]}")
    return found


def works(day):
    """The guard has started, or the test ends here."""
    if "ready" in day.said.splitlines():
        return
    log = [line for line in day.log.splitlines() if not line.startswith(QUIET)]
    places = re.findall(r"; .* @ (\S+:\d+)$", "\n".join(log), re.M)
    expect.fail("the guard starts",
                observed="\n".join([day.said[-500:], *(line[:200] for line in log[-SHOWN:])]),
                expected="the line ready within 20 s; its programs are loaded and attached",
                look=places[-1] if places else "guard_start()")  # fmt: skip


def went(day, plans, name):
    """[(step, errno)] of an actor."""
    works(day)
    steps = plans.runs[name]
    if len(day.ran[name]) != len(steps):
        expect.cannot_tell(f"{name} has done {len(day.ran[name])} of {len(steps)} acts: {day.output[-500:]}")
    return list(zip(steps, day.ran[name], strict=True))


def alike(what, wrong, look):
    """None of the steps went another way than it should."""
    shown = [f"{step.line}: {f'error {error}' if error else 'done'}" for step, error in wrong[:4]]
    expect.equal(shown, [], f"{what} ({len(wrong)} went another way)" if wrong else what, look=look)


WHERE = {
    "connect": "socket_connect: families, lengths, IPv4 in IPv6",
    "execute": "bprm_check_security, mmap_file",
    "trace": "ptrace_access_check, ptrace_traceme",
    "signal": "task_kill",
    "bpf": "lsm/bpf",
    "leave": "file_open, and who writes",
}


@pytest.mark.parametrize("name", ["first-inside", "first-below", "second-inside", "second-below"])
def test_enforced(day, plans, name):
    done = went(day, plans, name)
    wrong = [(step, error) for step, error in done if step.act and error != step.error]
    look = WHERE[wrong[0][0].act] if wrong else ""
    alike(f"what is forbidden is refused with EPERM ({name})", wrong, look or "guard.bpf.c")
    alike(f"what is not forbidden goes on as ever ({name})",
          [(step, error) for step, error in done if not step.act and error not in {0, NO_WAY}],
          "an act that only looks like a forbidden one")  # fmt: skip


@pytest.mark.parametrize("name", ["first-beside", "audit-beside"])
def test_beside(day, plans, name):
    wrong = [(step, error) for step, error in went(day, plans, name) if error not in {0, NO_WAY}]
    alike(f"nobody outside of the cgroup is held up ({name})", wrong, "whose act is it?")
    expect.equal(
        told(day, name), set(), f"nothing is told of those outside ({name})", look="whose act is it?"
    )


def test_audit(day, plans):
    wrong = [(step, error) for step, error in went(day, plans, "audit-inside") if error not in {0, NO_WAY}]
    alike(
        "a policy that does not enforce lets all go on", wrong, "what the policy says now, not at the start"
    )


def told(day, name):
    """{(act, denied)} of an actor, by the name of its process."""
    return {(e.get("act"), e.get("denied")) for e in day.events if e.get("comm") == name}


@pytest.mark.parametrize(
    "name", ["first-inside", "first-below", "audit-inside", "second-inside", "second-below"]
)
def test_told(day, plans, name):
    went(day, plans, name)
    denied = not name.startswith("audit")
    wanted = {(step.act, denied) for step in plans.runs[name] if step.act}
    expect.equal(sorted(told(day, name)), sorted(wanted),
                 f"each kind of forbidden act is told, no other ({name})",
                 look="report(): act, and whether it was refused")  # fmt: skip


def test_how_often(day, plans):
    for name in ("first-inside", "audit-inside"):
        steps = [step for step, _ in went(day, plans, name) if step.act == "connect"]
        events = sum(e.get("comm") == name and e.get("act") == "connect" for e in day.events)
        expect.equal(events, len(steps), f"each connection that is forbidden is told once ({name})",
                     look="on_connect")  # fmt: skip


def test_reload_has_no_hole(day):
    works(day)
    reloads = int(re.search(r"^policies (\d+)$", day.output, re.M)[1])
    if day.loop is None or reloads < 6:
        expect.cannot_tell(f"{reloads} reloads, {day.loop}: {day.output[-300:]}")
    expect.equal(day.loop, 0,
                 "what two policies forbid is refused while one takes the other's place (connections)",
                 look="guard_policy(): first what is new, then away with what is old")  # fmt: skip


def test_lives(day):
    works(day)
    expect.holds("\nlives\n" in f"\n{day.output}", "nobody inside can end the guard",
                 observed=day.said[-300:], expected="a guard that is there at the end of the day",
                 look="task_kill")  # fmt: skip


def test_afterwards(day, plans):
    wrong = [(step, error) for step, error in went(day, plans, "after-inside") if error not in {0, NO_WAY}]
    alike("when the guard was killed all is as before it", wrong, "what is pinned stays")
    expect.equal(day.census["after"], day.census["before"], "programs, maps and links are as many as before",
                 look="what is pinned stays; what hangs on descriptors goes with them")  # fmt: skip
