# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls counted from outside, statistics recomputed, the vDSO read a second time, one read() traced.

Emulation makes absolute times meaningless: only orders are judged, with wide margins.
"""

import math
import re
import statistics

import pytest

from klab.testing import expect

KINDS = ("empty", "vdso", "syscall", "getppid", "read")
COUNTED = ("clock_gettime", "getppid", "read")
# A file, and the function that reads of it must come to.
FILES = {
    "/dev/zero": "read_zero",
    "/dev/urandom": "urandom_read_iter",
    "/dev/vda": "blkdev_read_iter",
    "/proc/version": "version_proc_show",
    "/sys/kernel/profiling": "kernfs_fop_read_iter",
    "/dev/shm/file": "shmem_file_read_iter",  # noqa: S108 - in the guest
    "/etc/os-release": "ext4_file_read_iter",
}
CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
# What readelf says of the vDSO as python has found it in its own memory.
REFERENCE = r"""
import re
first, last = re.search(r"^(\w+)-(\w+) .*vdso.$", open("/proc/self/maps").read(), re.M).groups()
memory = open("/proc/self/mem", "rb")
memory.seek(int(first, 16))
open("/tmp/vdso", "wb").write(memory.read(int(last, 16) - int(first, 16)))
"""
COUNT = """
say() { name=$1; shift; echo "$name: [$($@ 2>&1 | tr '\\n' ';')]"; }
count() { # KIND COUNT
  strace -qq -o /tmp/calls -e trace=clock_gettime,getppid,read ./cost calls $1 $2; echo "status: [$?]"
  for call in clock_gettime getppid read; do echo "$call: [$(grep -c "^$call(" /tmp/calls)]"; done; }
part() { echo "== $1"; }
cd /klab
"""


@pytest.fixture(scope="module")
def programs(lab):
    """What the student has built, and the script, as files for a guest."""
    built = lab.make()
    programs = {f"klab/{name}": built.file(name) for name in ("cost", "readone")}
    return {**programs, "klab/path.sh": built.folder / "path.sh"}


@pytest.fixture(scope="module")
def drawn(lab):
    """What this seed has drawn: counts, samples with stragglers, a file."""
    near = [lab.random.gauss(300, 20) for _ in range(lab.random.randint(40, 300))]
    late = [lab.random.uniform(5e4, 1e6) for _ in range(len(near) // 20 + 2)]
    samples = [round(value, 3) for value in [*near, *late]]
    lab.random.shuffle(samples)
    return {
        "counts": {kind: lab.random.randint(50, 150) for kind in KINDS},
        "samples": samples,
        "file": lab.random.choice(sorted(FILES)),
    }


def parts(ran):
    """{part: {name: said}} of a guest's output."""
    found = {}
    for piece in ran.output.decode(errors="replace").split("== ")[1:]:
        name, _, rest = piece.partition("\n")
        found[name.strip()] = dict(re.findall(r"^([\w-]+): \[(.*)\]$", rest, re.M))
    return found


@pytest.fixture(scope="module")
def usual(guest, programs, drawn):
    """The guest as it should be: a TSC, and a vDSO that reads it."""
    counts = "\n".join(f"part {kind}; count {kind} {n}" for kind, n in drawn["counts"].items())
    script = f"""{COUNT}
part symbols; say mine ./cost symbols; python3 /klab/reference.py; say elf readelf -W --dyn-syms /tmp/vdso
{counts}
part summary; echo "numbers: [$(./cost summary </klab/samples 2>&1)]"
part tsc; say clock cat {CLOCK}; say times ./cost measure 41
echo acpi_pm >{CLOCK}
part acpi_pm; say clock cat {CLOCK}; count vdso {drawn["counts"]["vdso"]}; say times ./cost measure 41
echo tsc >{CLOCK}
"""
    samples = "\n".join(str(value) for value in drawn["samples"])
    files = {**programs, "klab/samples": f"{samples}\n", "klab/reference.py": REFERENCE}
    # Without the watchdog a busy host cannot make the kernel distrust the TSC.
    return parts(guest(script, files=files, base="debian", cmdline="tsc=nowatchdog"))


@pytest.fixture(scope="module")
def traced(guest, programs, drawn):
    """What path.sh says, and how it leaves the tracer; tracing takes longer than all the rest."""
    script = f"""{COUNT}
echo x >/dev/shm/file
part path; chmod +x path.sh; say names timeout 60 ./path.sh {drawn["file"]}
cd /sys/kernel/tracing
for file in current_tracer set_graph_function set_ftrace_pid tracing_on; do say $file cat $file; done
"""
    found = guest(script, files=programs, base="debian", cmdline="tsc=nowatchdog")
    return parts(found).get("path", {})


@pytest.fixture(scope="module")
def without(guest, programs, drawn):
    """A guest whose programs have no vDSO."""
    script = f"""{COUNT}
part symbols; ./cost symbols >/tmp/out 2>&1; echo "status: [$?]"
part vdso; count vdso {drawn["counts"]["vdso"]}
"""
    return parts(guest(script, files=programs, base="debian", cmdline="vdso=0"))


def counted(part, expected, what):
    """Check the calls that strace has counted."""
    expect.equal(part.get("status"), "0", f"{what}: the program ends well", look="cost.c")
    for call in COUNTED:
        want = str(expected.get(call, 0))
        expect.equal(part.get(call), want, f"{what}: {call} is called {want} times",
                     look="strace ./cost calls ...")  # fmt: skip


def times(part):
    """{kind: (median, low, high)} of `cost measure`."""
    number = r"(\d+(?:\.\d+)?)"
    found = re.findall(rf"(\w+) {number} {number} {number}(?:;|$)", part.get("times", ""))
    table = {kind: tuple(map(float, values)) for kind, *values in found}
    expect.equal(tuple(table), KINDS, "measure prints a line for each kind", look="./cost measure 41")
    for kind, (median, low, high) in table.items():
        expect.holds(0 < low <= median <= high, f"{kind}: the median lies in its interval, above 0",
                     observed=(median, low, high), expected="0 < LOW <= MEDIAN <= HIGH",
                     look="sample(), summary()")  # fmt: skip
    return {kind: median for kind, (median, _, _) in table.items()}


def order(table, less, more, factor, why):
    """Kind `less` costs less than `more`, by a factor."""
    expect.holds(table[less] * factor < table[more], f"{why}: {less} costs less than {more}",
                 observed=f"{less} {table[less]} ns, {more} {table[more]} ns",
                 expected=f"more than {factor} times", look="sample(): what is timed?")  # fmt: skip


def test_the_vdso_is_an_elf_file(usual):
    part = usual.get("symbols", {})
    elf = re.findall(r": 0*([0-9a-f]+) +\d+ FUNC +\w+ +\w+ +\d+ (\w+)", part.get("elf", ""))
    if not elf:
        expect.cannot_tell("readelf did not read the vDSO", look=str(part.get("elf")))
    mine = sorted(filter(None, part.get("mine", "").split(";")))
    expect.equal(mine, sorted(f"{name} {offset}" for offset, name in elf),
                 "the vDSO's functions and their offsets, as readelf shows them",
                 look="vdso_each()")  # fmt: skip


def test_calls_are_what_they_are_called(usual, drawn):
    counts = drawn["counts"]
    counted(usual.get("empty", {}), {}, "empty")
    counted(usual.get("vdso", {}), {}, "vdso")
    counted(usual.get("syscall", {}), {"clock_gettime": counts["syscall"]}, "syscall")
    counted(usual.get("getppid", {}), {"getppid": counts["getppid"]}, "getppid")
    counted(usual.get("read", {}), {"read": counts["read"]}, "read")


def test_without_a_vdso(without, drawn):
    expect.equal(without.get("symbols", {}).get("status"), "1",
                 "with vdso=0 there are no symbols: exit status 1", look="vdso_each()")  # fmt: skip
    counted(without.get("vdso", {}), {"clock_gettime": drawn["counts"]["vdso"]}, "vdso with vdso=0")


def test_summary(usual, drawn):
    samples = sorted(drawn["samples"])
    n = len(samples)
    low = max(1, math.floor((n - 1.96 * math.sqrt(n)) / 2))
    high = min(n, math.ceil(1 + (n + 1.96 * math.sqrt(n)) / 2))
    said = usual.get("summary", {}).get("numbers", "")
    numbers = [float(word) for word in re.findall(r"\d+(?:\.\d+)?", said)]
    wanted = [statistics.median(samples), samples[low - 1], samples[high - 1]]
    fine = len(numbers) == 3 and all(abs(a - b) < 0.01 for a, b in zip(numbers, wanted, strict=True))
    expect.holds(fine, f"median and 95 % interval of {n} samples", observed=said,
                 expected=" ".join(f"{value:.3f}" for value in wanted), look="summary()")  # fmt: skip


def test_costs(usual):
    part = usual.get("tsc", {})
    if part.get("clock") != "tsc;":
        expect.cannot_tell("the TSC is not this guest's clock", look=str(part.get("clock")))
    table = times(part)
    order(table, "empty", "vdso", 1.5, "reading the clock is work")
    for kind in ("syscall", "getppid", "read"):
        order(table, "vdso", kind, 2, "the vDSO saves the way into the kernel")


def test_a_clock_that_the_vdso_cannot_read(usual, drawn):
    part = usual.get("acpi_pm", {})
    if part.get("clock") != "acpi_pm;":
        expect.cannot_tell("acpi_pm is not this guest's clock", look=str(part.get("clock")))
    counted(part, {"clock_gettime": drawn["counts"]["vdso"]}, "vdso with the clock source acpi_pm")
    table = times(part)
    expect.holds(table["vdso"] > 0.6 * table["syscall"], "with acpi_pm the vDSO saves nothing",
                 observed=table, expected="vdso about as much as syscall", look="sample()")  # fmt: skip


def test_the_path_of_a_read(traced, drawn):
    names = traced.get("names", "").rstrip(";").split(";")
    shown = "\n".join(names[:30])
    expect.equal(names[0], "__x64_sys_read", "the path begins with __x64_sys_read", look="set_graph_function")
    for name in ("vfs_read", FILES[drawn["file"]]):
        expect.holds(name in names, f"a read of {drawn['file']} comes to {name}", observed=shown,
                     expected=name, look="./path.sh; /sys/kernel/tracing/trace")  # fmt: skip
    others = [name for name in names if not re.fullmatch(r"[A-Za-z_][\w.]*", name)
              or (name.startswith("__x64_sys_") and name != "__x64_sys_read")]  # fmt: skip
    expect.holds(not others and names.count("__x64_sys_read") == 1, "names of one read and nothing else",
                 observed=others or shown, expected="a name a line",
                 look="set_ftrace_pid; readone.c")  # fmt: skip


def test_tracing_is_left_as_it_was(traced):
    for file, want in (("current_tracer", "nop;"), ("set_graph_function", "#### all functions enabled ####;"),
                       ("set_ftrace_pid", "no pid;"), ("tracing_on", "1;")):  # fmt: skip
        expect.equal(
            traced.get(file), want, f"{file} is as it was", look="path.sh: what if it is interrupted?"
        )
