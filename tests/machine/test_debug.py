# SPDX-License-Identifier: GPL-3.0-or-later
"""Debuggers open the running kernel's vmlinux; QEMU in the machine runs a guest."""

from typing import Any

from klab.testing import expect
from klab.testing.machines import Machine

# Debug information of a whole kernel is read by an emulated CPU here.
SLOW_S = 240


def test_gdb_opens_vmlinux_with_its_helpers(machine: Machine, facts: dict[str, Any], vmlinux: str) -> None:
    said = machine.output(
        "gdb -q -batch -ex lx-version -ex 'ptype struct list_head' %s 2>&1",
        vmlinux,
        deadline_s=SLOW_S,
    )
    expect.holds(
        f"Linux version {facts['release']} " in said and "struct list_head *next" in said,
        "gdb does not know the kernel",
        observed=said,
        expected=f"Linux version {facts['release']} from lx-version, and the fields of struct list_head",
        look=f"vmlinux-gdb.py beside it; gdb -ex 'info auto-load' {vmlinux}",
    )


def test_drgn_reads_the_running_kernel(machine: Machine) -> None:
    program = (
        "from drgn.helpers.linux.pid import find_task\n"
        "print(prog['init_task'].comm.string_().decode(), find_task(prog, 1).comm.string_().decode())"
    )
    said = machine.output("drgn -q -e %s 2>&1", program, root=True, deadline_s=SLOW_S)
    expect.equal(
        said.splitlines()[-1],
        "swapper/0 systemd",
        "drgn cannot follow the running kernel's data",
        look="/proc/kcore (CONFIG_PROC_KCORE); drgn -V; vmlinux below /usr/lib/debug",
    )


def test_crash_opens_vmlinux(machine: Machine, vmlinux: str) -> None:
    said = machine.output(
        "printf 'ps 1\\nquit\\n' | crash -s --no_modules %s 2>&1", vmlinux, root=True, deadline_s=SLOW_S
    )
    expect.holds(
        "systemd" in said,
        "crash does not see process 1 of the running kernel",
        observed=said,
        expected="a line of ps with systemd",
        look=f"on the machine: sudo crash {vmlinux}",
    )


def test_qemu_runs_a_guest(machine: Machine, workshop: str) -> None:
    done = machine.run(
        "make -s -C %s/marker && qemu-system-x86_64 -accel tcg -machine pc -m 16 -nodefaults -display none"
        " -bios %s/marker/marker.bin -debugcon stdio -device isa-debug-exit,iobase=0xf4",
        workshop,
        workshop,
        deadline_s=120,
    )
    expect.equal(
        (done.out, done.code),
        ("klab", 85),
        f"a tiny guest inside the machine did not reach its marker: {done.err[-500:]}",
        look="tests/machine/src/marker",
    )
