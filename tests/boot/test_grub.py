# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with GRUB gets a kernel of klab, keeps its own, and comes back from a bad one.

A real Debian disk with a boot loader, under QEMU with SeaBIOS; kernels are switched over
ssh by playbooks/kernel_boot.yml, as on any machine that klab has not made.
"""

import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from fixtures import grubdisk, grubmachine
from fixtures.grubmachine import NAME, Computer, lab


@pytest.fixture(scope="module")
def computer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    with grubmachine.running(tmp_path_factory.mktemp("grub")) as made:
        yield made


def default(computer: Computer) -> str:
    return computer.says("sudo grub-editenv - list | sed -n s/^saved_entry=//p")


def fell_back(computer: Computer, done: subprocess.CompletedProcess[str], how: str) -> None:
    """The play failed, in a sentence, and the machine runs the kernel that it ran before."""
    assert done.returncode == 2, done.stdout
    said = " ".join(done.stdout.split())
    assert f"{how} on {NAME}, which is back on the last good one, {lab()}." in said, done.stdout
    assert computer.says("uname -r") == lab()
    assert default(computer) == f"klab-{lab()}"


def test_installed_and_switched(computer: Computer) -> None:
    assert "klab" not in computer.first
    done = computer.play("kernel_boot_flavour=lab")
    assert done.returncode == 0, done.stdout
    assert computer.says("uname -r") == lab()
    assert default(computer) == f"klab-{lab()}"
    # The flavour's own words, and those of all kernels of this machine.
    assert {"dma_debug=off", "console=ttyS0", "panic=10"} <= set(computer.says("cat /proc/cmdline").split())
    assert f"vmlinuz-{computer.first}" in computer.says("ls /boot"), "the old kernel is gone"


def test_again_changes_nothing(computer: Computer) -> None:
    before = computer.says("cat /proc/sys/kernel/random/boot_id")
    done = computer.play("kernel_boot_flavour=lab")
    assert done.returncode == 0, done.stdout
    recap = re.search(rf"^{NAME} .*changed=(\d+)", done.stdout, re.M)
    assert recap, done.stdout
    assert recap[1] == "0", done.stdout
    assert computer.says("cat /proc/sys/kernel/random/boot_id") == before


def test_panic_falls_back(computer: Computer) -> None:
    mark = len(computer.machine.console.read_text(errors="replace"))
    done = computer.play("kernel_boot_flavour=lab", '{"kernel_boot_cmdline": ["rdinit=/nonexistent"]}')
    fell_back(computer, done, "did not stay up")
    said = computer.console_since(mark)
    assert "Kernel panic - not syncing: VFS: Unable to mount root fs" in said
    assert "Rebooting in 10 seconds" in said


def test_silence_falls_back(computer: Computer) -> None:
    words = '{"kernel_boot_cmdline": ["systemd.mask=ssh.service", "systemd.mask=ssh.socket"]}'
    began = time.monotonic()
    done = computer.play(
        "kernel_boot_flavour=lab", words, "kernel_install_timeout=60", "kernel_install_patience=70"
    )
    fell_back(computer, done, "did not answer")
    assert time.monotonic() - began > 70
    assert "nobody confirmed this kernel within 70 s" in computer.machine.console.read_text(errors="replace")


def test_back_to_the_distributions_kernel_by_kexec(computer: Computer) -> None:
    mark = len(computer.machine.console.read_text(errors="replace"))
    done = computer.play(f"kernel_boot_release={computer.first}", "kernel_install_boot_by=kexec")
    assert done.returncode == 0, done.stdout
    assert computer.says("uname -r") == computer.first
    assert "GNU GRUB" not in computer.console_since(mark), "it went through the boot loader"
    assert default(computer).endswith(f"gnulinux-{computer.first}-advanced-{grubdisk.FS_UUID}")


def test_what_cannot_boot_here_is_refused(computer: Computer) -> None:
    config = f"/lib/modules/{lab()}/modules.builtin"
    computer.says(f"sudo sed -i /virtio_blk/d {config}")
    done = computer.play("kernel_boot_flavour=lab")
    assert done.returncode == 2, done.stdout
    assert "it lacks the driver virtio_blk of the root file system" in " ".join(done.stdout.split())
    assert computer.says("uname -r") == computer.first
