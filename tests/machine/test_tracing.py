# SPDX-License-Identifier: GPL-3.0-or-later
"""perf and trace-cmd record what happens, and say it."""

import re

from klab.testing import expect
from klab.testing.machines import Machine


def test_perf_names_the_hot_function(machine: Machine, workshop: str) -> None:
    said = machine.output(
        "cd %s/spin && cc -O1 -g -o spin spin.c && perf record -q -N -e cpu-clock -F 200 -o data ./spin"
        " && perf report -q -i data --stdio --sort symbol 2>/dev/null",
        workshop,
        deadline_s=120,
    )
    hot = re.search(r"([\d.]+)%\s+\[\.\] klab_spin", said)
    expect.holds(
        bool(hot and float(hot[1]) > 50),
        "perf does not see where a program spends its time",
        observed=said,
        expected="klab_spin with more than 50 % of the samples",
        look="sysctl kernel.perf_event_paranoid; tests/machine/src/spin",
    )


def test_trace_cmd_records_scheduling(machine: Machine, workshop: str) -> None:
    said = machine.output(
        "cd %s && trace-cmd record -q -e sched:sched_process_exec -o trace.dat sleep 0.01 >/dev/null"
        " && trace-cmd report -i trace.dat 2>/dev/null",
        workshop,
        root=True,
        deadline_s=120,
    )
    expect.holds(
        bool(re.search(r"sched_process_exec:.*sleep", said)),
        "trace-cmd recorded no exec of sleep",
        observed=said,
        expected="a line sched_process_exec: filename=…sleep",
        look="/sys/kernel/tracing; trace-cmd list -e sched",
    )
