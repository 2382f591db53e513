# SPDX-License-Identifier: GPL-3.0-or-later
"""One binary watches opens on three kernels; those who open say themselves what they did."""

import re
import shutil

import pytest

from klab.errors import KlabError
from klab.kernel import artefact, btf
from klab.testing import expect

TOOLS = "bpf"  # the root that has libbpf
PLACE = {"base": "debian", "cpus": 2, "memory": 768, "deadline_s": 150.0}
NO_TYPES = 2
NOBTF = "nobtf"
NAPS = 0.3  # of an open that waits, this much at least was waiting
# A system call that opens nothing runs no program; this leaves room for what else goes on.
OTHERS = 0.2
# Lines of libbpf's that say nothing, and how many of the others are shown.
QUIET, SHOWN = ("processed ", "libbpf: map ", "libbpf: elf", "-- "), 16


@pytest.fixture(scope="module")
def plans(lab):
    return lab.module("plans")


@pytest.fixture(scope="module")
def days(lab):
    return lab.module("days")


@pytest.fixture(scope="module")
def built(lab):
    """filemon, with the types of the lab's kernel, and the grader's programs, as a guest's files."""
    program = lab.restored().make("BTF=/kernel/vmlinux", tools=TOOLS).file("filemon")
    ours = lab.builds / "grader"
    shutil.copytree(lab.spec.folder / "grader", ours)
    for name in ("act", "census"):
        said = lab.run(["gcc", "-O2", "-static", "-pthread", "-o", name, f"{name}.c"], folder=ours)
        if said.code:
            raise KlabError(f"the grader's own {name}.c does not build: {said.err}", step="grader")
    files = {f"klab/{name}": ours / name for name in ("act", "census")}
    return {**files, "klab/day.sh": ours / "day.sh", "klab/filemon": program}


@pytest.fixture(scope="module")
def plan(lab, plans):
    return plans.Plans(lab.random, whole=True)


@pytest.fixture(scope="module")
def short(lab, plans):
    return plans.Plans(lab.random, whole=False)


@pytest.fixture(scope="module")
def whole(guest, built, plan, days):
    """The day on the lab's own kernel, under three monitors."""
    script = f"bash /klab/day.sh whole {plan.inside} {plan.limit}"
    return days.read(guest(script, files={**built, **plan.laid()}, **PLACE))


@pytest.fixture(scope="module")
def stock(guest, built, short, days):
    script = f"bash /klab/day.sh short {short.inside}"
    return days.read(guest(script, files={**built, **short.laid()}, kernel="stock", **PLACE))


@pytest.fixture(scope="module")
def nobtf(guest, built, short, days):
    files = {**built, **short.laid(), "klab/types": btf.ensure(artefact.get(NOBTF))}
    script = f"bash /klab/day.sh short {short.inside} /klab/types"
    return days.read(guest(script, files=files, kernel=NOBTF, **PLACE))


def works(found, where=""):
    """All of the monitors have started, or the test ends here."""
    bad = next((name for name in found.watched if "ready" not in found.said[name].splitlines()), "")
    if not bad:
        return
    log = [line for line in found.log[bad].splitlines() if not line.startswith(QUIET)]
    places = re.findall(r"; .* @ (\S+:\d+)$", "\n".join(log), re.M)
    expect.fail(f"filemon starts{where}",
                observed="\n".join([found.said[bad][-500:], *(line[:200] for line in log[-SHOWN:])]),
                expected="the line ready within 20 s; its programs are loaded and attached",
                look=places[-1] if places else "monitor_start(); the verifier and loops")  # fmt: skip


def alike(what, difference, look):
    """Nothing is missing, and nothing too many."""
    missing, more = difference
    shown = "\n".join(
        f"{word}: pid, tid, ppid, comm, result, path = {key}"
        for word, keys in (("missing", missing), ("too many", more)) for key in [*keys][:2]
    )  # fmt: skip
    expect.holds(not missing and not more, what,
                 observed=f"{missing.total()} are missing, {more.total()} too many\n{shown}",
                 expected="each open as it was, and no other", look=look)  # fmt: skip


def test_events(whole):
    works(whole)
    alike("each open is an event, with who it was, what came of it and where",
          whole.compare("all", [seen for seen in whole.of() if seen["part"] == 0]),
          "filemon.bpf.c: threads, failed opens, relative names, mounts")  # fmt: skip


def test_cgroups(whole):
    works(whole)
    ids = {actor["pid"]: actor["cgroup"] for actor in whole.actors.values()}
    seen = {(e["pid"], e.get("cgroup")) for e in whole.events["all"] if e.get("pid") in ids}
    expect.equal(sorted(seen), sorted(ids.items()), "each event has its caller's cgroup (pid, id)",
                 look="bpf_get_current_cgroup_id()")  # fmt: skip


def test_latency(whole):
    works(whole)
    waited = [seen for seen in whole.of() if seen["pid"] != seen["tid"]]
    times = {e.get("tid"): e.get("ns", 0) for e in whole.events["all"]}
    pairs = [(times.get(seen["tid"], 0), seen["after"] - seen["before"]) for seen in waited]
    wrong = [(ns, around) for ns, around in pairs if not NAPS * around <= ns <= around]
    if not waited:
        expect.cannot_tell("no thread has waited")
    expect.equal(wrong, [], "ns is how long an open took that waited (ns, measured around it)",
                 look="when does it begin, and whose is it?")  # fmt: skip


def test_filter_of_process_and_directory(whole, plan, days):
    works(whole)
    storms = [storm for storm in whole.stormed if storm[0] == "first" and storm[3] == plan.storm]
    pid = whole.actors["first"]["pid"]
    wanted = [seen for seen in days.below(whole.of("first"), plan.directory) if seen["pid"] == pid]
    alike("-p and -d let through what holds for both, also while the ring is not emptied",
          whole.compare("narrow", wanted, storms),
          "what is not wanted must not come into the ring")  # fmt: skip


def test_lost(whole, plan):
    works(whole)
    number, sent, _ = whole.stormed_by("narrow", "first", plan.storm)
    sums = last(whole, "narrow")
    expect.equal(sent + sums["lost"], number, "events and lost ones together are all opens of a storm",
                 look="bpf_ringbuf_reserve() that returns NULL; monitor_sums()")  # fmt: skip


def last(found, name):
    """The line of sums."""
    events, status = found.events[name], found.status.get(name)
    if status != 0 or not events or set(events[-1]) != {"lost", "skipped"}:
        expect.fail("filemon ends on SIGTERM, with its sums", observed=f"exit status {status}",
                    expected="exit status 0 and a line of sums",
                    look="monitor_stop(), monitor_poll()")  # fmt: skip
    return events[-1]


def test_filter_of_cgroup(whole):
    works(whole)
    storms = [storm for storm in whole.stormed if storm[0] == "third"]
    alike("-c lets through what is done in a cgroup and below it, and nothing beside it",
          whole.compare("group", whole.of("second", "third"), storms),
          "bpf_current_task_under_cgroup()")  # fmt: skip


def test_limit(whole, plan):
    works(whole)
    path = next(storm[3] for storm in whole.stormed if storm[0] == "third")
    number, sent, ns = whole.stormed_by("group", "third", path)
    most = plan.limit * (ns // 1_000_000_000 + 2)
    expect.holds(plan.limit <= sent <= most, "-l lets through so many events in a second, and no more",
                 observed=f"{sent} of {number} in {ns / 1e9:.2f} s", expected=f"{plan.limit} to {most}",
                 look="the second that is under way, and what was sent in it")  # fmt: skip
    sums = last(whole, "group")
    expect.equal(sent + sums["skipped"] + sums["lost"], number, "what is beyond the limit is counted",
                 look="monitor_sums()")  # fmt: skip


def test_others_are_left_alone(whole, plan):
    works(whole)
    runs, most = whole.census["called"]["runs"] - whole.census["calm"]["runs"], OTHERS * plan.calls
    expect.holds(runs < most, "system calls that open nothing run none of your programs",
                 observed=f"{runs} runs in {plan.calls} calls", expected=f"fewer than {most:.0f}",
                 look="SEC(): the tracepoints of single calls")  # fmt: skip


@pytest.mark.parametrize("name", ["whole", "nobtf"])
def test_nothing_stays(request, name):
    found = request.getfixturevalue(name)
    works(found)
    before, after = found.census["before"], found.census["after"]
    kinds = ("programs", "maps", "links")
    expect.equal({k: after[k] for k in kinds}, {k: before[k] for k in kinds},
                 f"after SIGTERM and SIGKILL nothing of filemon is in the kernel ({name})",
                 look="what is pinned stays; what hangs on descriptors goes with them")  # fmt: skip
    left = re.findall(r"^(?:pinned|probe) .*$", found.output, re.M)
    expect.equal(left, [], f"nothing is pinned, and no probe stays ({name})", look="monitor_start()")


def test_without_types(nobtf):
    expect.equal(nobtf.status["none"], NO_TYPES,
                 "on a kernel without BTF filemon says that types are missing (exit status)",
                 look="monitor_start(): NO_TYPES")  # fmt: skip


def test_on_stock(stock, short, days):
    elsewhere(stock, days.below(stock.of(), short.directory), "Debian's own kernel")


def test_on_nobtf(nobtf, short, days):
    elsewhere(nobtf, days.below(nobtf.of(), short.directory), "a kernel without BTF, with a file of it")


def elsewhere(found, wanted, where):
    works(found, f" on {where}")
    alike(f"the same binary sees the same on {where}", found.compare("all", wanted),
          "what of your program is true of one kernel only?")  # fmt: skip
