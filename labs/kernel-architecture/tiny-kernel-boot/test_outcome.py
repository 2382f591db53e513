# SPDX-License-Identifier: GPL-3.0-or-later
"""The student's kernel and init, alone in a PC: what the serial line says, and how it ends."""

import gzip
import re
import shutil
from pathlib import Path

import pytest

from klab import accel
from klab.guest import bare, initramfs
from klab.kernel.dotconfig import read_config
from klab.kernel.student import Wanted
from klab.testing import expect
from klab.testing.guests import gate

GRADER = Path(__file__).parent / "grader"
REFERENCE = Wanted((GRADER / "reference.config",))
ON = ("PRINTK", "PROC_FS", "SYSFS", "DEVTMPFS", "IKCONFIG_PROC", "KALLSYMS", "MULTIUSER")
OFF = ("NET", "BLOCK", "MODULES", "PCI")
LIMIT = 900 << 10  # bytes
MOUNTS = {"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs"}
SLOWEST = 3


@pytest.fixture(scope="module")
def kernel(lab):
    """The student's kernel."""
    return lab.own_kernel(lab.workspace / "fragment.config", base=REFERENCE)


@pytest.fixture(scope="module")
def drawn(lab):
    """What this seed has drawn."""
    return {"token": f"{lab.random.getrandbits(48):012x}", "status": lab.random.randint(1, 120)}


@pytest.fixture(scope="module")
def payload(lab, tmp_path_factory):
    """The grader's program that init starts."""
    folder = tmp_path_factory.mktemp("payload")
    shutil.copy(GRADER / "payload.c", folder)
    said = lab.run(["gcc", "-O2", "-static", "-o", "payload", "payload.c"], folder=folder)
    if said.code:
        expect.cannot_tell(f"the payload does not build: {said.err}")
    return (folder / "payload").read_bytes()


@pytest.fixture(scope="module")
def boot(lab, kernel, payload, drawn):
    """One boot, with the student's init and the grader's payload."""
    folders = dict.fromkeys(("dev", "proc", "sys"), (initramfs.FOLDER | 0o755, b""))
    files = folders | {
        "init": (initramfs.PROGRAM, lab.make().file("init").read_bytes()),
        "payload": (initramfs.PROGRAM, payload),
        "status": (initramfs.DATA, f"{drawn['status']}\n".encode()),
    }
    cmdline = f"console=ttyS0 loglevel=8 initcall_debug printk.time=1 tiny.token={drawn['token']}"
    booted = bare.boot(kernel.image, files, which=accel.probe().accel, cmdline=cmdline)
    gate(lab.spec, booted.lines, look="the serial line")
    return booted


def said(boot, pattern):
    """What stands behind `pattern` at the beginnings of lines."""
    return [found[1].strip() for line in boot.lines if (found := re.match(f"{pattern}(.*)", line))]


def last(boot):
    """The end of what was said."""
    return "\n".join([line for line in boot.lines if line.strip()][-6:]) or "(not a word on the serial line)"


def test_the_kernel_is_small(kernel):
    size = kernel.image.stat().st_size
    expect.holds(
        size <= LIMIT,
        f"bzImage has at most {LIMIT >> 10} KiB",
        observed=f"{size / 1024:.0f} KiB",
        expected=f"{LIMIT >> 10} KiB",
        look="fragment.config: what did nobody ask for?",
    )


def test_the_kernel_has_what_it_must(kernel):
    for name in ON:
        expect.equal(kernel.config.get(name, "n"), "y", f"the kernel has {name}", look="fragment.config")
    for name in OFF:
        expect.equal(
            kernel.config.get(name, "n"), "n", f"the kernel does without {name}", look="fragment.config"
        )


def test_it_comes_to_init(boot, drawn):
    expect.holds(
        any("Linux version" in line for line in boot.lines),
        "the kernel speaks on the serial line",
        observed=last(boot),
        expected="its banner",
        look="PRINTK, TTY, SERIAL_8250_CONSOLE",
    )
    expect.holds(
        said(boot, "tiny: up ") == [drawn["token"]],
        "init prints the token",
        observed=last(boot),
        expected=f"tiny: up {drawn['token']}",
        look="init.c: up(), mounts(); what does the kernel say last?",
    )


def test_the_payload_finds_its_world(boot, drawn, kernel):
    seen = {where: kind for _, where, kind, *_ in (line.split() for line in said(boot, "payload: mount "))}
    expect.holds(
        MOUNTS.items() <= seen.items(),
        "procfs, sysfs and devtmpfs are mounted",
        observed=seen or last(boot),
        expected=str(MOUNTS),
        look="init.c: mounts(), payload()",
    )
    expect.equal(
        said(boot, "payload: parent "), ["1"], "the payload is a child of init", look="init.c: payload()"
    )
    expect.equal(said(boot, "payload: user "), ["1000"], "the payload can be another user", look="MULTIUSER")
    packed = bytes.fromhex("".join(said(boot, "payload: config ")))
    expect.holds(
        bool(packed) and read_config(gzip.decompress(packed).decode()) == kernel.config,
        "/proc/config.gz is the configuration of this kernel",
        observed=f"{len(packed)} bytes",
        expected="the .config that was built",
        look="IKCONFIG_PROC",
    )
    expect.equal(
        said(boot, "tiny: payload "),
        [str(drawn["status"])],
        "init prints the payload's exit status",
        look="init.c: payload(), WEXITSTATUS",
    )


def test_the_slowest_initcalls(boot):
    pattern = re.compile(r"initcall (\w+)\+\S+ returned -?\d+ after (\d+) usecs")
    calls = {(found[1], int(found[2])) for line in boot.lines if (found := pattern.search(line))}
    if len(calls) <= SLOWEST:
        expect.cannot_tell("the serial line names no initcalls")
    times = sorted((usecs for _, usecs in calls), reverse=True)[:SLOWEST]
    named = [tuple(text.split()) for text in said(boot, "tiny: slow ")]
    fine = all(len(call) == 2 and call[1].isdigit() for call in named)
    found = [(name, int(usecs)) for name, usecs in named] if fine else []
    # Two calls may have taken the same time: either may stand there.
    right = [usecs for _, usecs in found] == times and len(set(found)) == SLOWEST and set(found) <= calls
    best = sorted(calls, key=lambda call: -call[1])[:SLOWEST]
    expect.holds(
        right,
        "init names the three slowest initcalls of this boot",
        observed=named or last(boot),
        expected=", ".join(f"{name} {usecs}" for name, usecs in best),
        look="init.c: slow()",
    )


def test_init_waits_for_everybody(boot):
    expect.equal(
        said(boot, "payload: orphan ends, child of "),
        ["1"],
        "init waits for what the payload left behind",
        look="init.c: wait() until ECHILD",
    )


def test_the_machine_restarts(boot):
    expect.holds(
        boot.how == bare.RESET,
        "init restarts the machine",
        observed=f"it {boot.how}:\n{last(boot)}",
        expected="a restart, without a panic",
        look="reboot(2)",
    )
