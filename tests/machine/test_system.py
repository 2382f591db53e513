# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine is set up as role lab_machine says, and closed to everybody else."""

import subprocess
import time
from pathlib import Path
from typing import Any

from klab.machine import process
from klab.testing import expect
from klab.testing.machines import Machine

ROLE = "roles/lab_machine"
LOOPBACK = "0100007F"  # 127.0.0.1 as /proc/net/tcp writes it
LISTEN = "0A"
# Found nowhere a lab, a role or a student puts files; the rest of the disk is Debian's.
PLACES = "/home /root /opt /srv /tmp /var/tmp /usr/local /etc /var/lib/klab"


def ssh(machine: Machine, *options: str) -> subprocess.CompletedProcess[str]:
    """A connection of its own, with other options than the machine's own."""
    argv = ["ssh", "-F", str(machine.record.ssh_config), "-o", "ControlPath=none", "-o", "BatchMode=yes"]
    return subprocess.run(
        [*argv, *options, machine.name, "true"], capture_output=True, text=True, check=False, timeout=60
    )


def test_name_time_and_locale(machine: Machine, facts: dict[str, Any], settings: dict[str, Any]) -> None:
    charmap = machine.output("locale charmap").strip()
    expect.equal(
        (facts["hostname"], facts["timezone"], charmap),
        (machine.name, settings["lab_machine_timezone"], "UTF-8"),
        "host name, time zone or character set differ",
        look=f"{ROLE}/defaults/main.yml; on the machine: hostnamectl, timedatectl, locale",
    )


def test_clock_is_the_hypervisors(machine: Machine) -> None:
    before = time.time()
    there = float(machine.output("date +%s.%N"))
    after = time.time()
    expect.holds(
        before - 2 <= there <= after + 2,
        "the machine's clock is off",
        observed=f"{there - after:+.1f} s",
        expected="within 2 s of the hypervisor's",
        look="date on both; a machine resumed from a snapshot must have its clock set",
    )


def test_kernel_settings(facts: dict[str, Any], settings: dict[str, Any]) -> None:
    running = {name: " ".join((value or "missing").split()) for name, value in facts["sysctls"].items()}
    differing = {name: value for name, value in running.items() if value != settings["sysctls"][name]}
    expect.equal(
        differing,
        {},
        "kernel settings differ from what the role says",
        look=f"{ROLE}/vars/main.yml; /etc/sysctl.d on the machine",
    )


def test_student_owns_the_machine(machine: Machine) -> None:
    said = machine.output("id -un; id -u; sudo -n id -u; stat -c %U ~/labs")
    expect.equal(
        said.split(),
        ["student", "1000", "0", "student"],
        "the login account is not the student with sudo and ~/labs",
        look=f"{ROLE}/tasks/account.yml",
    )


def test_no_account_has_a_password(facts: dict[str, Any]) -> None:
    open_ones = [name for name, field in facts["accounts"].items() if not field.startswith(("!", "*"))]
    expect.equal(open_ones, [], "accounts have a password", look="/etc/shadow")


def test_ssh_takes_keys_only(machine: Machine) -> None:
    done = ssh(machine, "-o", "PubkeyAuthentication=no")
    expect.holds(
        done.returncode == 255 and "Permission denied (publickey)" in done.stderr,
        "sshd offers more than keys",
        observed=f"exit status {done.returncode}: {done.stderr.strip()}",
        expected="Permission denied (publickey)",
        look="sudo sshd -T on the machine",
    )


def test_root_does_not_log_in(machine: Machine) -> None:
    done = ssh(machine, "-l", "root")
    expect.holds(
        done.returncode == 255 and "Permission denied" in done.stderr,
        "root can log in over ssh",
        observed=f"exit status {done.returncode}: {done.stderr.strip()}",
        expected="Permission denied",
        look="PermitRootLogin in sudo sshd -T; /root/.ssh",
    )


def test_qemu_listens_on_the_loopback_only(machine: Machine) -> None:
    pid = process.pid_of(machine.record)
    sockets = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == LISTEN and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                listening.append((address, int(port, 16)))
    wanted = sorted({machine.record.ssh_port, machine.record.gdb_port})
    expect.holds(
        {address for address, _ in listening} == {LOOPBACK} and sorted(p for _, p in listening) == wanted,
        "QEMU listens elsewhere than asked",
        observed=listening,
        expected=f"only 127.0.0.1 ({LOOPBACK}), ports {wanted}",
        look=f"ss -ltnp; {machine.record.dir}/qemu.argv",
    )


def test_no_solution_lies_on_the_machine(machine: Machine) -> None:
    said = machine.output(
        f"find {PLACES} -xdev"
        " \\( -name solution.patch -o -name 'test_outcome*' -o -path '*/wrong/*.patch' \\)"
        " 2>/dev/null || true",
        root=True,
    )
    expect.equal(said, "", "solutions or graders lie on a student's machine", look="role lab; ~/labs")
