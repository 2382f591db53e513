# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine runs the kernel that klab built, and that kernel is what was asked for."""

from typing import Any

from klab import digest as digests
from klab.kernel import flavour as flavours
from klab.store import Entry
from klab.testing import expect
from klab.testing.machines import Machine


def test_running_release_is_the_artefacts(facts: dict[str, Any], artefact: Entry) -> None:
    expect.equal(
        facts["release"],
        artefact.manifest["release"],
        "another kernel release runs",
        look=f"uname -r; {artefact.path}/manifest.json",
    )


def test_running_kernel_is_the_artefacts(facts: dict[str, Any], artefact: Entry) -> None:
    # A kernel that klab built says its digest; the manifest of a fetched one, what that says.
    fetched = artefact.manifest.get("uname_v")
    expect.equal(
        facts["version"] if fetched else facts["version"].split()[0],
        fetched or f"#{digests.short(artefact.digest)}",
        "a kernel of the same release, but from other inputs, runs",
        look=f"uname -v says '{facts['version']}'; {artefact.path}/manifest.json",
    )


def test_every_requested_symbol_has_its_value(facts: dict[str, Any], artefact: Entry) -> None:
    requested = artefact.manifest["symbols"]
    expect.holds(
        bool(requested) and facts["config"] is not None,
        "there is nothing to compare",
        observed=f"{len(requested)} symbols asked for, {len(facts['config'] or ())} in /proc/config.gz",
        expected="symbols, and a readable /proc/config.gz",
        look=f"{artefact.path}/manifest.json; CONFIG_IKCONFIG_PROC",
    )
    wrong = [
        f"CONFIG_{name} is {facts['config'].get(name, 'n')}, not {wanted['value']} ({wanted['fragment']})"
        for name, wanted in sorted(requested.items())
        if facts["config"].get(name, "n") != wanted["value"]
    ]
    expect.equal(wrong, [], "the running kernel lacks requested symbols", look="zcat /proc/config.gz")


def test_command_line_holds_what_was_asked(facts: dict[str, Any], machine: Machine, artefact: Entry) -> None:
    flavour = flavours.load(artefact.manifest["flavour"])
    wanted = [*flavour.cmdline, *machine.record.kernel["cmdline"].split()]
    running = facts["cmdline"].split()
    expect.holds(
        set(wanted) <= set(running) and any(word.startswith("root=") for word in running),
        "the kernel command line lacks words",
        observed=facts["cmdline"],
        expected=f"root=… and {' '.join(wanted) or '(no more)'}",
        look=f"{machine.record.dir}/machine.json",
    )


def test_bpf_is_among_the_security_modules(facts: dict[str, Any]) -> None:
    expect.holds(
        "bpf" in facts["lsm"],
        "BPF LSM programs would attach and never run",
        observed=",".join(facts["lsm"]),
        expected="a list with bpf in it",
        look="/sys/kernel/security/lsm; CONFIG_LSM and lsm= on the command line",
    )


def test_sched_ext_waits_for_a_scheduler(facts: dict[str, Any]) -> None:
    expect.holds(
        facts["present"]["/sys/kernel/sched_ext/state"],
        "sched_ext is missing",
        observed="no /sys/kernel/sched_ext/state",
        expected="it exists",
        look="CONFIG_SCHED_CLASS_EXT in /proc/config.gz",
    )


def test_kgdb_can_be_put_on_a_serial_port(facts: dict[str, Any]) -> None:
    expect.holds(
        facts["present"]["/sys/module/kgdboc"],
        "KGDB over the console is missing",
        observed="no /sys/module/kgdboc",
        expected="it exists",
        look="CONFIG_KGDB_SERIAL_CONSOLE in /proc/config.gz",
    )


def test_machine_was_made_from_this_checkouts_kernel(machine: Machine, current_kernel: Entry) -> None:
    expect.equal(
        machine.record.kernel["digest"],
        current_kernel.digest,
        "the machine was made from another kernel than this checkout builds",
        look=f"{machine.record.dir}/machine.json; `make lab` makes it anew",
    )
