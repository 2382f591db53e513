# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab machine crashes, leaves a dump in its own file system, restarts, and is prepared again."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from klab import accel
from klab.kernel import artefact
from klab.kernel import flavour as flavours
from klab.machine import console, lifecycle, model, parts, ssh
from klab.paths import repo_dir

NAME = "kdump1"
BOOT_S, CRASH_S = 240.0, 420.0
INVENTORY = """\
all:
  hosts:
    localhost:
      ansible_connection: local
      ansible_python_interpreter: {python}
  children:
    builders:
      hosts:
        localhost:
    lab_machines:
      hosts:
        {name}:
          ansible_ssh_args: -F {config}
          ansible_python_interpreter: /usr/bin/python3
          lab_machines_hypervisor: localhost
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[model.Machine]:
    words = " ".join(flavours.load("lab").cmdline)
    kernel = parts.kernel(artefact.get("lab").digest, cmdline=words)
    image, verdict = parts.newest_image(), accel.probe()
    wanted = parts.Wanted(kernel=kernel, image=image, verdict=verdict, memory=1536, cpus=2)
    with model.locked(NAME):
        lifecycle.destroy(NAME)
        made = lifecycle.create(NAME, wanted)
    try:
        lifecycle.ready(made, BOOT_S)
        yield made
    finally:
        with model.locked(NAME):
            lifecycle.destroy(NAME)


def play(machine: model.Machine, folder: Path) -> subprocess.CompletedProcess[str]:
    hosts = folder / "hosts.yml"
    hosts.write_text(INVENTORY.format(name=NAME, config=machine.ssh_config, python=sys.executable))
    return subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(hosts), "playbooks/kdump.yml"],
        cwd=repo_dir(),
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(repo_dir() / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(repo_dir() / "roles"),
            "ANSIBLE_NOCOLOR": "1",
        },
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


def says(machine: model.Machine, command: str) -> str:
    return ssh.run(machine, command, timeout_s=CRASH_S).out.strip()


def test_prepared_crashed_and_found_again(machine: model.Machine, tmp_path: Path) -> None:
    assert "crashkernel" not in says(machine, "cat /proc/cmdline")
    done = play(machine, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "crashkernel=256M" in says(machine, "cat /proc/cmdline")
    assert says(machine, "cat /sys/kernel/kexec_crash_loaded") == "1"
    again = play(machine, tmp_path)
    assert re.search(rf"^{NAME} .*changed=0", again.stdout, re.MULTILINE), again.stdout

    before = says(machine, "cat /proc/sys/kernel/random/boot_id")
    mark = len(machine.console.read_bytes())
    crash = "(sleep 1; echo c | sudo tee /proc/sysrq-trigger) >/dev/null 2>&1 &"
    ssh.run(machine, f"echo klab-mark | sudo tee /dev/kmsg; sync; {crash}")
    began = time.monotonic()
    while b"klab: a dump is in" not in machine.console.read_bytes()[mark:]:
        assert time.monotonic() - began < CRASH_S, machine.console.read_bytes()[-2000:]
        time.sleep(1)
    console.mark(machine.console, console.BOOT)  # what stands above it is the end of another life
    ssh.wait(machine, BOOT_S)
    assert says(machine, "cat /proc/sys/kernel/random/boot_id") != before

    folder = says(machine, "ls -d /var/crash/*")
    assert re.fullmatch(r"/var/crash/\d{8}-\d{6}", folder)
    assert says(machine, f"cat {folder}/release") == says(machine, "uname -r")
    assert "klab-mark" in says(machine, f"sudo cat {folder}/dmesg.txt")
    assert "sysrq triggered crash" in says(machine, f"sudo cat {folder}/dmesg.txt")
    vmlinux = "/usr/lib/debug/lib/modules/$(uname -r)/vmlinux"
    look = f"printf 'bt\\nquit\\n' >words; sudo crash -s -i words {vmlinux} {folder}/vmcore"
    assert "sysrq_handle_crash" in says(machine, look)
    assert says(machine, "cat /sys/kernel/kexec_crash_loaded") == "1", "after the restart nothing is loaded"


def test_too_little_memory_is_refused(machine: model.Machine, tmp_path: Path) -> None:
    shrink = "sudo systemctl stop klab-kdump; echo $((64 << 20)) | sudo tee /sys/kernel/kexec_crash_size"
    says(machine, shrink)
    done = play(machine, tmp_path)
    assert done.returncode == 2, done.stdout
    log = says(machine, "sudo journalctl -u klab-kdump -o cat --no-pager")
    assert re.search(r"crashkernel= keeps 64 MiB free; this kernel and its tools want \d+", log), log
