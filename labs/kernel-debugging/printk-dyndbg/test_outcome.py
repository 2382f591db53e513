# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of each kind are provoked, read, flooded, switched, sent away; and asked for at a boot."""

import re

import pytest

from klab.testing import expect

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7
BINS, ROOM = 8, 100
FLOOD, BURST, FAULTS, QUIET_S = 3000, 5, 12, 2.5
CASES = ("off", "frame", "decode", "sum", "at")
# Built-in functions that say something at debug level at each boot, and a word of it.
AT_BOOT = {
    "pci_scan_child_bus_extend": "scanning bus",
    "really_probe": "probing driver",
    "driver_bound": "bound to device",
}
SITE = re.compile(r"^(\S+?):(\d+) \[(\S+)\](\S+) =(\S+) ", re.M)
BOOTED = """
cp /proc/dynamic_debug/control /klab/out/control
dmesg -r >/klab/out/log
"""


class Silos:
    """Commands at random, and what silo has to say of each: (command, [(level, text)])."""

    def __init__(self, rnd):
        self.rnd, self.held = rnd, [[0] * BINS for _ in range(2)]

    def frame(self, silo, number, amount):
        held = self.held[silo]
        was, fits, total = held[number], min(amount, ROOM - held[number]), number + amount & 0xFF
        held[number] += fits
        said = [
            (DEBUG, "got 3 bytes"),
            (DEBUG, f"frame: bin {number} gets {amount}"),
            (DEBUG, f"sum {total:02x} fits"),
            (DEBUG, f"bin {number}: {was} and {fits} make {held[number]}"),
            *([(ERROR, f"bin {number} is full, {amount - fits} left out")] if fits < amount else []),
            (DEBUG, f"sum of all bins: {sum(held)}"),
        ]
        return f"{silo} frame {number:02x}{amount:02x}{total:02x}", named(silo, said)

    def put(self, silo):
        number = self.rnd.choice([n for n in range(BINS) if self.held[silo][n] < ROOM])
        return self.frame(silo, number, self.rnd.randrange(1, ROOM + 1 - self.held[silo][number]))

    def full(self, silo):
        return self.frame(silo, self.rnd.randrange(BINS), self.rnd.randrange(120, 240))

    def bad(self, silo):
        number, amount = self.rnd.randrange(BINS), self.rnd.randrange(10, 90)
        right, got = number + amount, number + amount + self.rnd.randrange(1, 99)
        said = [(WARNING, f"bad frame for bin {number}, sum {got:02x}, not {right:02x}")]
        return f"{silo} frame {number:02x}{amount:02x}{got:02x}", named(silo, said)

    def short(self, silo):
        size = self.rnd.choice((1, 2, 4, 5))
        return f"{silo} frame {'01' * size}", named(silo, [(WARNING, f"a frame of {size} bytes, not 3")])

    def drain(self, silo, number=None):
        number = self.rnd.randrange(BINS) if number is None else number
        was, self.held[silo][number] = self.held[silo][number], 0
        return f"{silo} drain {number}", named(silo, [(NOTICE, f"bin {number} drained of {was}")])


def named(silo, said):
    return [(level, f"silo silo.{silo}: {text}") for level, text in said]


def loud(part):
    """What is said of a part while no debug message is on."""
    return [each for _, said in part for each in said if each[0] != DEBUG]


@pytest.fixture(scope="module")
def drawn(lab):
    """{part: [(command, what is said)]}."""
    rnd = lab.random
    silos, noisy = Silos(rnd), rnd.randrange(2)
    other = 1 - noisy
    # Each silo has four bad frames here: a burst of five is let through.
    kinds = [silos.put, silos.full, silos.drain, silos.bad, silos.short] * 2
    rnd.shuffle(kinds)
    story = [kind(silo) for kind in kinds for silo in (0, 1)]
    first = rnd.randrange(2)
    once = named(first, [(WARNING, "'level' is deprecated, read /proc/silo")])
    story.insert(rnd.randrange(8), (f"{first} level", once))
    story += [(f"{silo} level", []) for silo in (0, 1, 0)]
    flood = [
        (silos.bad(noisy)[0].replace("frame", f"repeat {FLOOD}"), []),
        silos.bad(other),
        silos.short(other),
    ]
    flood += [silos.full(noisy) for _ in range(FAULTS)]
    parts = {"story": story, "flood": flood, "after": [silos.bad(noisy)]}
    parts["hushed"] = [silos.full(noisy), silos.bad(other), silos.drain(other)]
    parts["loud"] = [silos.drain(other, 7), silos.frame(other, 7, rnd.randrange(91, 100))]
    cases = [*CASES, *rnd.sample(CASES, 3)]
    rnd.shuffle(cases)
    looks = []
    for case in cases:
        silo, number = rnd.randrange(2), rnd.randrange(BINS)
        silos.drain(silo, number)
        looks.append((case, silo, number, *silos.frame(silo, number, rnd.randrange(5, 90))))
    silos = Silos(rnd)  # the module was loaded anew
    for part in ("sent", "unsent", "stalled"):
        parts[part] = [silos.full(noisy), silos.bad(other), silos.drain(noisy)]
    site, boot = rnd.choice((1, 2)), rnd.choice([*AT_BOOT])
    return {"parts": parts, "looks": looks, "noisy": noisy, "site": site, "boot": boot}


@pytest.fixture(scope="module")
def ran(lab, guest, drawn):
    built = lab.restored().make()
    files = {f"klab/{name}": built.file(name) for name in ("silo.ko", "mill.ko", "netconsole.ko")}
    files |= {f"klab/{name}": built.file(name) for name in ("see.sh", "remote.sh")}
    for part, told in drawn["parts"].items():
        files[f"klab/{part}"] = "".join(f"{command}\n" for command, _ in told)
    files["klab/looks"] = "".join(
        f"{case} {silo} {number} {command.split()[-1]}\n" for case, silo, number, command, _ in drawn["looks"]
    )
    files["klab/day.sh"] = lab.spec.folder / "grader/day.sh"
    # It stops all programs but itself, so it is the one that the guest waits for.
    return guest(f"exec sh /klab/day.sh {QUIET_S} {drawn['site']}", files=files)


def noted(ran, part):
    """[(level, text)] of what silo and mill said until a point."""
    if part not in ran.results:
        said = ran.output.decode(errors="replace")[-400:]
        expect.cannot_tell(f"the guest has not left its log ({part})", look=said)
    found = re.findall(r"^<(\d+)>\[ *[\d.]+\] (.*)$", ran.results[part].decode(errors="replace"), re.M)
    return [(int(level) & 7, text) for level, text in found if re.search(r"silo[ .]|mill: ", text)]


def shown(lines):
    return "\n".join(f"<{level}> {text}" for level, text in lines) or "(nothing)"


def same(seen, should, what, look):
    expect.equal(shown(seen), shown(should), what, look=look)


def sites(ran, part):
    """{(function, file's end, line): flags} of all places with a debug message."""
    if part not in ran.results:
        expect.cannot_tell(f"the guest has not left its list of debug messages ({part})")
    text = ran.results[part].decode(errors="replace")
    return {(f, file, int(line), of): flags for file, line, of, f, flags in SITE.findall(text)}


def test_levels(ran, drawn):
    ready = [(INFO, f"silo silo.{silo}: {BINS} bins of {ROOM}") for silo in (0, 1)]
    same(noted(ran, "found"), ready, "what is said when silo is loaded", "silo_probe")
    same(noted(ran, "story"), loud(drawn["parts"]["story"]),
         "each message has its level and its device, and comes as often as it should",
         "the table in README.md")  # fmt: skip


def test_flood(ran, drawn):
    noisy, part = drawn["noisy"], drawn["parts"]["flood"]
    seen = noted(ran, "flood")
    flood = [each for each in seen if each[0] == WARNING and f"silo.{noisy}:" in each[1]]
    expect.holds(1 <= len(flood) <= 2 * BURST, f"of {FLOOD} bad frames at once some are reported",
                 observed=f"{len(flood)} messages", expected=f"{BURST} within two seconds",
                 look="__ratelimit")  # fmt: skip
    rest = [each for each in seen if each not in flood]
    same(
        rest, loud(part), "what the other silo says, and errors, are not lost in a flood", "whose limit it is"
    )
    same(noted(ran, "after"), loud(drawn["parts"]["after"]), "after some quiet bad frames are reported again",
         "ratelimit_state_init: interval and burst")  # fmt: skip


def test_costs_nothing(ran):
    described = ran.results.get("described", b"?").decode().strip()
    expect.equal(described, "0", "no frame is described while nobody reads it",
                 look="the arguments of dev_dbg; /sys/module/silo/parameters/described")  # fmt: skip


@pytest.mark.parametrize("turn", range(len(CASES) + 3))
def test_see(ran, drawn, turn):
    case, *_, said = drawn["looks"][turn]
    debug = [each for each in said if each[0] == DEBUG]
    lines = sorted(line for f, file, line, of in sites(ran, "control")
                   if f == "decode" and of == "silo" and file.endswith("frame.c"))  # fmt: skip
    expect.equal(len(lines), 2, "decode has two debug messages", look="/proc/dynamic_debug/control")
    decoded = debug[1:3]
    wanted = {
        "off": [],
        "frame": debug[:3],
        "decode": [(level, f"decode:{line}: {text}")
                   for line, (level, text) in zip(lines, decoded, strict=True)],
        "sum": [each for each in debug if ": sum " in each[1]],
        "at": [decoded[drawn["site"] - 1]],
    }[case]  # fmt: skip
    before = drawn["looks"][turn - 1][0] if turn else "off"
    same([each for each in noted(ran, f"see-{turn}") if each[0] == DEBUG],
         [*wanted, (DEBUG, f"mill: ground {turn}")],
         f"debug messages after `see.sh {case}`, where `see.sh {before}` was before",
         "see.sh; what a query without a module matches; which flags are left")  # fmt: skip


def test_console(ran, drawn):
    console = "\n".join(ran.console)
    hushed = [(level, text) for _, told in drawn["parts"]["hushed"] for level, text in told if level != DEBUG]
    same(noted(ran, "hushed"), hushed, "after `see.sh quiet` the log takes all", "see.sh")
    # Bins are drained elsewhere, too; what is said of frames is said once.
    seen = [each for each in hushed if each[1] in console and each[0] != NOTICE]
    same(seen, [each for each in hushed if each[0] == ERROR], "after `see.sh quiet` the console shows errors",
         "dmesg -n; /proc/sys/kernel/printk")  # fmt: skip
    wanted = drawn["parts"]["loud"][1][1][1]
    expect.holds(wanted[1] in console, "after `see.sh loud` the console shows debug messages",
                 observed=f"not there: {wanted[1]}", expected="what `see.sh frame` has switched on",
                 look="see.sh; dmesg -n")  # fmt: skip


def test_load(ran):
    seen = [text for level, text in noted(ran, "load") if level == DEBUG]
    right = "\n".join(rf"silo silo\.{silo}: \d+ bytes for its state" for silo in (0, 1))
    expect.holds(re.fullmatch(right, "\n".join(seen)),
                 "`see.sh load` shows the debug messages of silo_probe, from the first one on",
                 observed="\n".join(seen), expected="one for each silo, and no others",
                 look="the module parameter dyndbg")  # fmt: skip


def test_remote(ran, drawn):
    form = re.compile(r"(\d+),\d+,\d+,[^;]*;(.*)")
    heads = [payload.decode(errors="replace").partition("\n")[0] for payload in ran.sent]
    seen = [(int(match[1]) & 7, match[2]) for match in map(form.fullmatch, heads) if match]
    said = {part: loud(drawn["parts"][part]) for part in ("sent", "unsent", "stalled")}
    trouble = ran.results.get("said", b"").decode(errors="replace")[-300:]
    for part, what in (("sent", "after `remote.sh on`"), ("stalled", "while all programs are stopped")):
        lost = [each for each in said[part] if each not in seen]
        expect.holds(not lost, f"messages are sent, with level, number and time, {what}",
                     observed=f"not sent:\n{shown(lost)}\nthe last ones sent: {heads[-3:]}\n{trouble}",
                     expected=shown(said[part]), look="remote.sh; /sys/kernel/config/netconsole")  # fmt: skip
    leaked = [each for each in said["unsent"] if each in seen and each not in said["sent"] + said["stalled"]]
    expect.holds(not leaked, "after `remote.sh off` nothing is sent, not later either",
                 observed=shown(leaked), expected="nothing of that time",
                 look="what netconsole sends when it is loaded with a target; `enabled`")  # fmt: skip


def test_boot(lab, guest, ran, drawn, tmp_path):
    name = drawn["boot"]
    (tmp_path / "boot.sh").write_bytes((lab.workspace / "boot.sh").read_bytes())
    said = lab.run(["sh", "boot.sh", name], folder=tmp_path)
    words = said.out.strip()
    expect.holds(said.code == 0 and words and "\n" not in words, "boot.sh prints one line",
                 observed=f"exit status {said.code}: {said.out}{said.err}", expected="kernel arguments",
                 look="boot.sh")  # fmt: skip
    booted = guest(BOOTED, cmdline=words, fresh=True)
    on = {key: flags for key, flags in sites(booted, "control").items() if flags != "_"}
    usual = {key for key, flags in sites(ran, "before").items() if flags != "_"}
    functions = sorted({f for f, *_ in on.keys() - usual})
    expect.equal(functions, [name], "the boot switches on the debug messages of one function",
                 look="boot.sh; dyndbg= on the command line")  # fmt: skip
    console = list(booted.console)
    expect.holds(any(AT_BOOT[name] in line for line in console), "the console shows them while it boots",
                 observed="\n".join(console[:5]), expected=AT_BOOT[name], look="loglevel=")  # fmt: skip
    early = [line for line in console if re.search(r"Linux version |bootconsole \[", line)]
    expect.holds(len(early) > 1 and "Linux version" in early[0],
                 "the console is there early, and shows all from the kernel's first message on",
                 observed="\n".join([*console[:3], *early]), expected="the version, and a boot console",
                 look="earlyprintk=, or earlycon=; the order of the words")  # fmt: skip
