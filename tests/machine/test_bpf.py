# SPDX-License-Identifier: GPL-3.0-or-later
"""BTF is really read: by bpftool, by bpftrace, and by a CO-RE program built on the spot."""

import re

from klab.testing import expect
from klab.testing.machines import Machine


def test_btf_gives_the_kernels_types_as_c(machine: Machine, workshop: str) -> None:
    said = machine.output(
        "cd %s/core && make -s vmlinux.h && wc -l <vmlinux.h"
        " && sed -n '/^struct task_struct {/,/^};/p' vmlinux.h",
        workshop,
    )
    lines, _, task = said.partition("\n")
    missing = {"real_parent", "comm", "scx"} - set(re.findall(r"\w+", task))
    expect.holds(
        int(lines) > 50_000 and not missing,
        "the type information is not the kernel's",
        observed=f"{lines} lines of C; struct task_struct lacks {missing or 'nothing'}",
        expected="more than 50000 lines, struct task_struct with real_parent, comm and scx",
        look="bpftool btf dump file /sys/kernel/btf/vmlinux format c",
    )


def test_bpftrace_counts(machine: Machine) -> None:
    # The parent is found through two pointers, which bpftrace knows from BTF alone.
    program = (
        "tracepoint:raw_syscalls:sys_enter { @n = count(); }"
        ' interval:ms:500 { printf("parent %d\\n", curtask->real_parent->tgid); exit(); }'
    )
    said = machine.output("bpftrace -q -e %s", program, root=True)
    count = re.search(r"@n: (\d+)", said)
    expect.holds(
        bool(count and int(count[1]) > 0 and re.search(r"parent \d+", said)),
        "bpftrace counted no system call or could not follow a pointer",
        observed=said,
        expected="parent: a number; @n: a number above 0",
        look=f"on the machine: sudo bpftrace -e '{program}'",
    )


def test_core_program_is_built_loaded_and_reports(machine: Machine, workshop: str) -> None:
    said = machine.output("cd %s/core && make -s exec >&2 && sudo -n ./exec", workshop, deadline_s=120)
    expect.equal(
        said.strip(),
        "file=/bin/true parent_is_me=1",
        "the CO-RE program did not report its child's exec",
        look="tests/machine/src/core; on the machine: dmesg, bpftool prog",
    )
