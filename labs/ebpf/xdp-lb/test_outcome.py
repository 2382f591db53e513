# SPDX-License-Identifier: GPL-3.0-or-later
"""The balancer gets packets made by lot while back ends come and go, and real connections."""

import json
import re
from collections import Counter
from itertools import chain

import pytest

from klab.testing import expect

# The root of the kernels that clang builds has the compiler; the one of this lab's kernel has not.
TOOLS = "llvm"
DEADLINE_S = 200.0
UNEVEN = 0.3
PASSES = (0, 0xFFFFFFFF)  # TC_ACT_OK, TC_ACT_UNSPEC
SCRIPT = """
cd /klab
timeout 60 sh net.sh up >/klab/out/up 2>&1; echo "up: $?"
timeout -s KILL 120 python3 run.py plan >/klab/out/told 2>/klab/out/errors; echo "run: $?"
"""


@pytest.fixture(scope="module")
def made(lab):
    """The grader's own module of frames and steps."""
    return lab.module("scene")


@pytest.fixture(scope="module")
def scene(lab, made):
    return made.Scene(lab.random)


@pytest.fixture(scope="module")
def ran(lab, guest, scene):
    """What the guest has left."""
    program = lab.restored().make(tools=TOOLS).file("lb.bpf.o")
    files = {f"klab/{name}": lab.spec.starter / name for name in ("net.sh", "sums.py")}
    files |= {"klab/lb.bpf.o": program.read_bytes(), "klab/plan": json.dumps({"steps": scene.steps})}
    files["klab/run.py"] = (lab.spec.folder / "grader/run.py").read_bytes()
    return guest(SCRIPT, files=files, base="debian", needs=["veth", "sch_ingress", "cls_bpf"],
                 deadline_s=DEADLINE_S)  # fmt: skip


def refusal(said):
    """The verifier's last words, with the line of the source that it was at."""
    log = said.partition("BEGIN PROG LOAD LOG --\n")[2].partition("-- END PROG LOAD LOG")[0] or said
    places = re.findall(r"^.*; (.*) @ (\S+:\d+)", log, re.M)
    lines = [line[:300] for line in log.splitlines() if not line.startswith(("processed ", ";"))]
    return "\n".join([*(": ".join(reversed(each)) for each in places[-1:]), *lines[-8:]]), places


@pytest.fixture(scope="module")
def told(ran, scene):
    """{name of some steps: what came of each}."""
    up = ran.results.get("up", b"").decode(errors="replace")
    shown, places = refusal(up)
    fine = "up: 0" in ran.output.decode(errors="replace").splitlines()
    expect.holds(fine, "the kernel takes both programs", observed=shown,
                 expected="programs that are loaded and attached",
                 look=places[-1][1] if places else "lb.bpf.c")  # fmt: skip
    try:
        answers = json.loads(ran.results.get("told", b""))["told"]
    except ValueError:
        expect.cannot_tell(f"no answers: {ran.results.get('errors', b'').decode(errors='replace')[-800:]}")
    return {name: answers[start:end] for name, (start, end) in scene.names.items()}


def where(made, scene, told, name, claim):
    """The back end of each packet of a step; the test fails when one is not what it has to be."""
    found = []
    for packet, (returned, frame) in zip(scene.sent[name], told[name], strict=True):
        given, left = packet.frame(), bytes.fromhex(frame)
        to = made.places(left)[1] if len(left) == len(given) else None
        right = packet.moved(to=to).frame() if to in scene.backs else b""
        if returned != made.XDP_PASS or not right or made.without_sums(left) != made.without_sums(right):
            expect.fail(claim, observed=f"{packet}\nreturned {returned}, goes to {to}: {left.hex()}",
                        expected=f"XDP_PASS, and the same for a back end {right.hex()}",
                        look="balance()")  # fmt: skip
        if wrong := made.flaws(left):
            expect.fail("each packet's checksums are right", observed=f"{packet} to {to}, wrong: {wrong}",
                        expected=right.hex(), look="balance(): what is part of which sum")  # fmt: skip
        found.append(scene.backs.index(to))
    expect.holds(bool(found), claim, observed="none", expected="packets", look="balance()")
    return found


@pytest.fixture(scope="module")
def first(made, scene, told):
    return where(made, scene, told, "first", "each SYN to the service goes to a back end")


@pytest.fixture(scope="module")
def fewer(made, scene, told):
    return where(made, scene, told, "one gone", "SYNs go to back ends when one has gone")


@pytest.fixture(scope="module")
def second(made, scene, told):
    return where(made, scene, told, "second", "SYNs go to back ends when another one has come")


@pytest.fixture(scope="module")
def unknown(made, scene, told):
    return where(made, scene, told, "unknown", "what nobody has seen begin goes to a back end, too")


@pytest.fixture(scope="module")
def begun(first, fewer, second):
    return first, fewer, second


def spread(found, up, when):
    each, fair = Counter(found), len(found) / len(up)
    fine = set(each) == set(up) and all(abs(n - fair) <= UNEVEN * fair for n in each.values())
    expect.holds(fine, f"connections are spread evenly over those that are up, {when}", observed=dict(each),
                 expected=f"about {fair:.0f} at each of {up}", look="how a back end is chosen")  # fmt: skip


def test_spread(scene, first, fewer, second):
    old = [n for n in range(len(scene.backs)) if n != scene.new]
    spread(first, old, "at first")
    spread(fewer, [n for n in old if n != scene.gone], "when one has gone")
    spread(second, [n for n in range(len(scene.backs)) if n != scene.gone], "when another one has come")


def test_sticky(made, scene, told, first, fewer):
    for name, when, found in (("data", "", first), ("kept", ", when one has gone", first),
                              ("kept too", ", when another one has come", fewer)):  # fmt: skip
        home = dict(zip(scene.clients, found, strict=True))
        expect.equal(where(made, scene, told, name, f"what follows goes to a back end{when}"),
                     [home[client] for client in scene.later], f"what follows goes where the SYN went{when}",
                     look="connections; who is down keeps those that it has")  # fmt: skip


def test_consistent(scene, first, fewer, second):
    for before, after, claim, fine in (
        (first, fewer, "when one has gone only its clients get another one", lambda a, _: a == scene.gone),
        (fewer, second, "when one has come it takes from others, and nobody else moves",
         lambda _, b: b == scene.new),
    ):  # fmt: skip
        pairs = list(zip(before, after, strict=True))
        moved = [(a, b) for a, b in pairs if a != b and not fine(a, b)]
        expect.equal(len(moved), 0, claim, look=f"how a back end is chosen; moved, for example: {moved[:3]}")


def test_unknown(scene, second, unknown):
    home = dict(zip(scene.clients, second, strict=True))
    expect.equal(unknown, [home[client] for client in scene.later],
                 "when the table was lost connections are where the choice says",
                 look="balance()")  # fmt: skip


def test_counts(scene, told, begun, unknown):
    first, fewer, _ = begun
    syns = Counter(chain(*begun))
    all_ = syns + Counter()
    for found, times in ((first, 2), (fewer, 1)):
        home = dict(zip(scene.clients, found, strict=True))
        all_ += Counter([home[client] for client in scene.later] * times)
    numbers = range(len(scene.backs))
    expect.equal(told["counts"], [[syns[n], all_[n]] for n in numbers],
                 "[connections, packets] of each back end are counted", look="counted")  # fmt: skip
    expect.equal(told["forget"], [len(set(scene.clients))], "connections has all that there are",
                 look="what is its key")  # fmt: skip
    all_ += Counter(unknown)
    expect.equal(told["after"], [[syns[n], all_[n]] for n in numbers],
                 "what is not of the service is not counted", look="counted")  # fmt: skip


def same(pairs, claim, look):
    """One observation of many packets: (packet, what came of it, what is right)."""
    for packet, seen, right in pairs:
        if seen != right:
            expect.fail(claim, observed=f"{packet}: {seen}", expected=right, look=look)
    expect.holds(bool(pairs), claim, observed="none", expected="packets", look=look)


def test_others(made, scene, told):
    given = [(packet, packet.frame()) for packet in scene.sent["others"]]
    given += [(frame.hex(), frame) for frame in scene.cut]
    answers = zip(given, told["others"] + told["cut"], strict=True)
    same([(packet, seen, [made.XDP_PASS, frame.hex()]) for (packet, frame), seen in answers],
         "anything else passes as it is",
         "ports, addresses, protocols, fragments, and where a frame ends")  # fmt: skip


def test_nobody(made, scene, told, unknown):
    expect.equal(
        told["dropped"][0][0], made.XDP_DROP, "while nobody is up a SYN is dropped", look="balance()"
    )
    claim = "while nobody is up connections go on"
    stay = where(made, scene, told, "stay", claim)
    expect.equal(stay, unknown[: len(stay)], f"{claim} where they are", look="connections")


def test_reply(scene, told, unknown):
    home = {client: scene.backs[n] for client, n in zip(scene.later, unknown, strict=True)}
    answers = zip(scene.sent["reply"], told["reply"], strict=True)
    ours, others = [], []
    for packet, (returned, frame) in answers:
        mine = home[packet.to] == packet.source
        right = packet.moved(source=scene.service) if mine else packet
        (ours if mine else others).append((packet, [returned in PASSES, frame], [True, right.frame().hex()]))
    for packet, (returned, frame) in zip(scene.sent["strangers"], told["strangers"], strict=True):
        others.append((packet, [returned in PASSES, frame], [True, packet.frame().hex()]))
    same(ours, "a back end's answer comes from the service", "reply(): addresses, port, two checksums")
    same(others, "what answers no connection of the service passes as it is", "reply(): whose is it?")


def test_real(scene, told):
    up = {str(n) for n in range(len(scene.backs)) if n != scene.new}
    answers, again = told["connect"][0], told["turn"][-1]
    expect.holds(set(answers) <= up and len(set(answers)) > 1, "connections of a real client come through",
                 observed=answers, expected=f"{made_of(up)} each time",
                 look="checksums of both programs; BPF_F_PSEUDO_HDR; the direction of reply()")  # fmt: skip
    expect.equal(again, answers[-len(again) :], "real connections stay while back ends come and go",
                 look="connections")  # fmt: skip
    direct = told["direct"]
    expect.equal(direct, [[str(n)] * len(each) for n, each in enumerate(direct)],
                 "who talks to a back end directly is answered by it", look="reply()")  # fmt: skip


def made_of(names):
    return " or ".join(sorted(names))
