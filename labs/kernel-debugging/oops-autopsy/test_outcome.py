# SPDX-License-Identifier: GPL-3.0-or-later
"""A wreck of the grader's goes down in nine ways; its last words have to be kept, and read."""

import json
import re
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from klab.testing import expect
from klab.testing.guests import LOST

# kind: the class that the tool has to name, the function's name in names.h, and the headline of its report.
KINDS = {
    "near": ("null", "NEAR_FN", r"BUG: kernel NULL pointer dereference"),
    "far": ("null", "FAR_FN", r"BUG: unable to handle page fault"),
    "freed": ("freed", "WEIGHT_FN", r"general protection fault"),
    "text": ("text", "TEXT_FN", r"general protection fault"),
    "bug": ("bug", "BUG_FN", r"kernel BUG at"),
    "hung": ("hung", "HUNG_FN", r"INFO: task .* blocked for more than"),
    "soft": ("soft", "SOFT_FN", r"BUG: soft lockup"),
    "hard": ("hard", "HARD_FN", r"Watchdog detected hard LOCKUP"),
    "stack": ("stack", "STACK_FN", r"BUG: TASK stack guard page was hit"),
}
LASTING = ("hard", "stack")  # one of them kills the guest whose log is to be kept
SURVIVED = [kind for kind in KINDS if kind not in LASTING]
# The function that the task entered last; WEIGHT_FN is part of its caller.
ENTERED = {"freed": "FREED_FN"}
POINTERS = ("near", "far", "freed", "text")
ORDERS = {kind: f"{kind.upper()}_ARGS" for kind in POINTERS}
REGISTERS = ("rdi", "rsi", "rdx")
VERBS = ("caulk", "mend", "stow", "haul", "scrub", "splice", "reef", "furl", "brace", "tar", "lash", "hoist")
THINGS = ("keel", "mast", "yard", "jib", "bilge", "hawser", "capstan", "rudder", "galley", "locker", "davit")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ "
# So many steps that their trace alone is more than pstore keeps unless it is asked for more.
SHORT, LONG = 30, 240
NOTICED_S, RESET_S = 10, 20
SLACK_S = 8  # the host's and QEMU's own time


def route(rnd, steps):
    return "".join(rnd.choice("01234567") for _ in range(steps))


@pytest.fixture(scope="module")
def drawn(lab):
    """What is random, in the order in which it is drawn."""
    rnd = lab.random
    macros = [f"STEP_{n}" for n in range(8)] + [macro for _, macro, _ in KINDS.values()] + ["FREED_FN"]
    pairs = [f"{verb}_{thing}" for verb in VERBS for thing in THINGS]
    names = dict(zip(macros, rnd.sample(pairs, len(macros)), strict=True))
    places = {kind: rnd.randrange(3) for kind in POINTERS}
    sizes = {"HULL": rnd.randrange(4200, 9000, 8), "CABIN": rnd.randrange(320, 640, 16)}
    label = "".join(rnd.choice(LETTERS) for _ in range(28))
    # After an oops the kernel looks for no hung tasks any more.
    order = [kind for kind in SURVIVED if kind != "hung"]
    rnd.shuffle(order)
    order.insert(0, "hung")
    routes = {kind: route(rnd, LONG if kind in LASTING else SHORT) for kind in KINDS}
    gaps = [rnd.randrange(6) for _ in range(400)]
    return {"names": names, "places": places, "sizes": sizes, "label": label, "order": order,
            "routes": routes, "gaps": gaps, "last": rnd.choice(LASTING)}  # fmt: skip


def header(drawn):
    lines = [f"#define {macro} {name}" for macro, name in drawn["names"].items()]
    for kind, place in drawn["places"].items():
        args = ["a", "b"]
        args.insert(place, "p")
        lines.append(f"#define {ORDERS[kind]}(p, a, b) {', '.join(args)}")
    lines += [f"#define {name} {size}" for name, size in drawn["sizes"].items()]
    return "\n".join([*lines, f'#define LABEL "{drawn["label"]}"', ""])


@pytest.fixture(scope="module")
def wreck(lab, drawn, tmp_path_factory):
    """The grader's wreck: its build, and {kind: {(file, line)}} of where it goes down."""
    folder = tmp_path_factory.mktemp("wreck")
    gaps, places = iter(drawn["gaps"]), {}
    shutil.copyfile(lab.spec.starter / "Makefile", folder / "Makefile")
    (folder / "names.h").write_text(header(drawn))
    for name in ("parts.h", "wreck.c"):
        text = "".join(
            line if line.strip() else "\n" * (1 + next(gaps))
            for line in (lab.spec.starter / name).read_text().splitlines(keepends=True)
        )
        (folder / name).write_text(text)
        for number, line in enumerate(text.splitlines(), 1):
            if found := re.search(r"/\* here: (\w+) \*/", line):
                places.setdefault(found[1], set()).add((name, number))
    ours = replace(lab, workspace=folder, builds=tmp_path_factory.mktemp("builds"), _made={})
    return ours.make(), places


@pytest.fixture(scope="module")
def files(lab, wreck):
    built, _ = wreck
    laid = {f"klab/{name}": built.file(name) for name in ("wreck.ko", "watchdog.ko", "i6300esb.ko")}
    laid["klab/voyage.sh"] = lab.spec.folder / "grader/voyage.sh"
    return {**laid, **{f"klab/{name}": lab.workspace / name for name in ("arm.sh", "recover.sh")}}


@pytest.fixture(scope="module")
def series(guest, files, drawn):
    """The guest that goes down in many ways and lives: what it printed, {kind: its part of the console}."""
    signs = {"hung": "blocked for more", "soft": "soft lockup - CPU"}
    lines = [f"{kind} {drawn['routes'][kind]} {signs.get(kind, '')}\n" for kind in drawn["order"]]
    script = f"sh /klab/voyage.sh series {NOTICED_S * 2}"
    # Without a store: a guest with one has to boot.
    laid = {**files, "klab/series": "".join(lines)}
    ran = guest(script, files=laid, devices=["wdt"], deadline_s=150, may_die=True)
    parts, kind = {}, ""
    for line in ran.console:
        if found := re.search(r"klab: goes down: (.*)", line):
            kind = found[1].strip()
        parts.setdefault(kind, []).append(line)
    return ran, parts


@pytest.fixture(scope="module")
def death(guest, files, drawn, tmp_path_factory):
    """The guest that dies, and the store that it leaves."""
    kind, store = drawn["last"], tmp_path_factory.mktemp("store") / "erst"
    script = f"sh /klab/voyage.sh death {kind} {drawn['routes'][kind]}"
    ran = guest(script, files=files, deadline_s=90, may_die=True, erst=store, fresh=True)
    lines = [*ran.console]
    begin = next((n for n, line in enumerate(lines) if f"klab: goes down: {kind}" in line), len(lines))
    return store, lines[begin:]


@pytest.fixture(scope="module")
def reborn(guest, files, death):
    """The guest that boots with that store: it, {part of its output: text}, and its seconds in all."""
    store, _ = death
    began = time.monotonic()
    ran = guest("sh /klab/voyage.sh reborn", files=files, deadline_s=100, may_die=True, erst=store)
    took = time.monotonic() - began
    text = ran.output.decode(errors="replace")
    parts = dict(re.findall(r"^<<(\w+)\n(.*?)(?=^<<|\Z)", text, re.M | re.S))
    return ran, parts, took


def autopsy(lab, wreck, lines, what):
    """What the student's tool says of a log."""
    lab.builds.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=lab.builds))
    shutil.copyfile(wreck[0].file("wreck.ko"), folder / "wreck.ko")
    shutil.copyfile(lab.workspace / "autopsy.py", folder / "autopsy.py")
    (folder / "log").write_text("".join(f"{line}\n" for line in lines))
    said = lab.run(["python3", "autopsy.py", "log", "wreck.ko"], folder=folder)
    try:
        word = json.loads(said.out)
    except ValueError:
        word = None
    expect.holds(said.code == 0 and isinstance(word, dict), f"autopsy.py prints one JSON object ({what})",
                 observed=f"exit status {said.code}: {(said.out + said.err)[-600:]}",
                 expected="an object, and exit status 0", look="autopsy.py")  # fmt: skip
    return word


def judge(word, kind, drawn, places, lines):
    """Compare the tool's word with what really happened."""
    name = drawn["names"]
    cause, macro, _ = KINDS[kind]
    expect.equal(word.get("class"), cause, f"the class of a crash ({kind})",
                 look="the headline; for a pointer, the value of the guilty register")  # fmt: skip
    found = (word.get("file"), word.get("line"))
    expect.holds(
        found in places[kind] and word.get("function") == name[macro],
        f"file, line and function ({kind})",
        observed=f"{found[0]}:{found[1]} in {word.get('function')}",
        expected="the innermost place in the module's own source",
        look="which RIP; addr2line -i and -j; what stands in a call trace is where a call comes back to",
    )
    if kind in POINTERS:
        right = REGISTERS[drawn["places"][kind]]
        shown = re.search(rf"\b{right.upper()}: ([0-9a-f]{{16}})", "\n".join(lines[headline(kind, lines) :]))
        bad = {"null": "0" * 16, "freed": "6b" * 8, "text": drawn["label"][16:24].encode()[::-1].hex()}
        if not shown or shown[1] != bad[cause]:
            expect.cannot_tell(f"the compiler did not leave the pointer in {right}", look=str(shown))
    else:
        right = None
    expect.equal(word.get("register"), right, f"the guilty register ({kind})",
                 look="the operand in brackets of the instruction at RIP")  # fmt: skip
    last = name[ENTERED.get(kind, macro)]
    walked = [name[f"STEP_{step}"] for step in drawn["routes"][kind][-4:]]
    expect.equal(word.get("trace"), [last] * 5 if kind == "stack" else [*walked, last],
                 f"the last five functions that the task entered ({kind})",
                 look="the lines of the dump that bear the task's PID")  # fmt: skip


def headline(kind, lines):
    """Where the report of a kind begins; the test ends when there is none."""
    pattern = KINDS[kind][2]
    number = next((n for n, line in enumerate(lines) if re.search(pattern, line)), None)
    if number is None:
        expect.cannot_tell(f"the kernel has not reported what was done ({kind})", look="\n".join(lines[:40]))
    return number


def test_armed(series):
    ran, _ = series
    said = ran.output.decode(errors="replace")
    state = dict(re.findall(r"^(\w+) (\w+)$", said, re.M))
    off = [name for name, value in state.items() if value == "0"]
    expect.holds(state and not off, "after arm.sh, each kind of crash ends in a panic, with a trace",
                 observed=f"{off}\n{said[-300:]}", expected="none of them is 0",
                 look="/proc/sys/kernel; arm.sh")  # fmt: skip
    expect.holds(ran.status != LOST, "a machine that is well is not reset",
                 observed="the guest was gone:\n" + "\n".join(ran.console[-5:]),
                 expected="a watchdog that is fed", look="arm.sh; what feeds /dev/watchdog")  # fmt: skip


@pytest.mark.parametrize("kind", SURVIVED)
def test_diagnosis(lab, wreck, series, drawn, kind):
    lines = series[1].get(kind, [])
    if kind in ("hung", "soft"):
        pattern = KINDS[kind][2]
        expect.holds(any(re.search(pattern, line) for line in lines),
                     f"what hangs is reported within {NOTICED_S} s ({kind})",
                     observed="no report", expected=pattern,
                     look="/proc/sys/kernel: watchdog_thresh, hung_task_timeout_secs")  # fmt: skip
    headline(kind, lines)
    judge(autopsy(lab, wreck, lines, kind), kind, drawn, wreck[1], lines)


def words(lines):
    """The kernel's texts, without level and time."""
    found = (re.search(r"\[ *\d+\.\d{6}\] ?(.*)", line) for line in lines)
    return [match[1].strip() for match in found if match and match[1].strip()]


def test_last_words(death, drawn, reborn):
    kind, (_, lines) = drawn["last"], death
    begin, panic = headline(kind, lines), any("Kernel panic - not syncing" in line for line in lines)
    expect.holds(panic, f"a crash ends in a panic ({kind})", observed="\n".join(lines[-8:]),
                 expected=f"Kernel panic - not syncing, within {NOTICED_S} s",
                 look="/proc/sys/kernel: watchdog_thresh, hardlockup_panic")  # fmt: skip
    ran, parts, _ = reborn
    if parts.get("backend", "").strip() != "erst":
        expect.cannot_tell(
            "the guest has no store, or did not come so far", look="\n".join(ran.console[-10:])
        )
    kept = iter(words(parts.get("log", "").splitlines()))
    end = next(n for n, line in enumerate(lines) if n > begin and re.search(r"end trace|Kernel panic", line))
    lost = next((line for line in words(lines[begin:end]) if line not in kept), None)
    expect.holds(lost is None, f"after the reboot, recover.sh prints the whole report, in its order ({kind})",
                 observed=f"not there, or not in its place: {lost}\n{parts.get('errors', '')}",
                 expected="all lines from the headline to the end of the trace",
                 look="kmsg_bytes; the headline of each record: which dump, which part")  # fmt: skip
    expect.equal(parts["left"].split(), [], "recover.sh makes room for the next crash",
                 look="what removes a record from the store")  # fmt: skip


def test_diagnosis_after_reboot(lab, wreck, death, reborn, drawn):
    kind = drawn["last"]
    lines = reborn[1].get("log", "").splitlines()
    judge(autopsy(lab, wreck, lines, f"{kind}, recovered"), kind, drawn, wreck[1], lines)


def test_reset(reborn):
    ran, parts, took = reborn
    up = re.match(r"([\d.]+) ", parts.get("uptime", ""))  # of a guest that has booted
    if not up or ran.status != LOST:
        expect.cannot_tell("the guest was not stopped", look=f"{ran.status}\n" + "\n".join(ran.console[-10:]))
    said = [line for line in ran.console if "Kernel panic" in line]
    gone = took - float(up[1])
    expect.holds(not said and gone <= RESET_S + SLACK_S, "a machine of which no CPU answers is reset",
                 observed=f"it was there for {gone:.0f} s more\n" + "\n".join(said),
                 expected=f"the watchdog's reset within {RESET_S} s", look="/dev/watchdog")  # fmt: skip
