# SPDX-License-Identifier: GPL-3.0-or-later
"""The module klab_grub on a machine of files: what it reads, what it refuses, what it makes the default."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.testing import patch_module_args

from klab.paths import repo_dir

MENU = """\
set default="${saved_entry}"
function gfxmode {
	set gfxpayload="${1}"
}
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-U' {
	if [ x$grub_platform = xxen ]; then insmod xzio; fi
	linux	/boot/vmlinuz-6-deb root=UUID=U ro  panic=10
	initrd	/boot/initrd.img-6-deb
}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-U' {
	menuentry 'Debian, with Linux 6-lab' $menuentry_id_option 'gnulinux-6-lab-advanced-U' {
		linux	/boot/vmlinuz-6-lab root=/dev/vda1 ro panic=10
	}
	menuentry 'Debian, with Linux 6-deb' $menuentry_id_option 'gnulinux-6-deb-advanced-U' {
		linux	/boot/vmlinuz-6-deb root=UUID=U ro panic=10
		initrd	/boot/initrd.img-6-deb
	}
	menuentry 'Debian, with Linux 6-deb (recovery mode)' $menuentry_id_option 'gnulinux-6-deb-recovery-U' {
		linux	/boot/vmlinuz-6-deb root=UUID=U ro single panic=10
	}
}
"""
OURS = """\
menuentry '{name}: Debian, with Linux {release}' $menuentry_id_option 'klab-{name}' {{
	linux	/boot/vmlinuz-{release} root=/dev/vda1 ro panic=10 {arguments}
}}
"""
OLD = "gnulinux-advanced-U>gnulinux-6-deb-advanced-U"


def load(name: str, folder: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, repo_dir() / "plugins" / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"ansible.module_utils.{name}"] = module
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Computer:
    """A root folder, and what the programs of GRUB would do there."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.root = root
        self.capsys = capsys
        self.said: list[tuple[str, ...]] = []
        self.block: dict[str, str] = {}
        self.kind = "ext2/ext3"
        self.menu = load("klab_grub_menu", "module_utils")
        monkeypatch.setattr(ansible.module_utils, "klab_grub_menu", self.menu, raising=False)
        self.module = load("klab_grub", "modules")
        monkeypatch.setattr(self.menu, "NOTES", root / "etc/klab/boot/entries")
        monkeypatch.setattr(self.module, "ARMED", root / "etc/klab/boot/armed")
        for part in (self.menu, self.module):
            monkeypatch.setattr(part, "ROOT", root)
            monkeypatch.setattr(part, "run", self.run)
        for release in ("6-deb", "6-lab"):
            self.put(f"boot/vmlinuz-{release}", "")
        self.put("boot/grub/grub.cfg", MENU)
        self.put("boot/grub/grubenv", "")
        self.put("sys/dev/block/8:1/size", "")
        self.put("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/root rw\n")
        self.boots = 0
        self.starts("6-deb", "root=UUID=U ro panic=10", monkeypatch)

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def starts(self, release: str, arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boots += 1
        self.put("proc/sys/kernel/random/boot_id", f"boot-{self.boots}\n")
        self.put("proc/cmdline", f"BOOT_IMAGE=/boot/vmlinuz-{release} {arguments}\n")
        monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "m", release, "#1", "x86_64")))

    def run(self, *argv: str) -> str:
        self.said.append(argv)
        if argv[0] == "grub-set-default":
            self.block["saved_entry"] = argv[1]
        if argv[0] == "grub-reboot":
            self.block["next_entry"] = argv[1]
        if argv[0] == "update-grub":
            notes = sorted((self.root / "etc/klab/boot/entries").glob("[!.]*"))
            made = [(n.name, *n.read_text().splitlines()) for n in notes]
            more = (OURS.format(name=n, release=r, arguments=a) for n, r, a in made)
            self.put("boot/grub/grub.cfg", MENU + "".join(more))
        if argv[0] == "grub-editenv":
            return "".join(f"{key}={value}\n" for key, value in self.block.items())
        return self.kind if argv[0] == "stat" else ""

    def act(self, action: str, release: str = "6-lab", arguments: str = "", **more: Any) -> dict[str, Any]:
        asked = {"action": action, "release": release, "arguments": arguments, **more}
        with patch_module_args(asked), pytest.raises(SystemExit):
            self.module.main()
        return dict(json.loads(self.capsys.readouterr().out))


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Computer:
    return Computer(tmp_path, monkeypatch, capsys)


def test_the_running_kernel_becomes_the_default_by_its_lasting_id(computer: Computer) -> None:
    assert computer.act("pin", arguments="a=1")["changed"]
    assert computer.block["saved_entry"] == OLD
    assert not computer.act("pin", arguments="a=2")["changed"]
    assert computer.menu.note("6-lab") == ("6-lab", "a=1"), "what may be the way back is not changed"


def test_a_good_kernel_is_confirmed(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    computer.act("pin", arguments="a=1")
    assert computer.act("entry")["changed"]
    assert not computer.act("look", arguments="a=1")["right"]
    assert computer.act("arm", arguments="a=1")["entry"] == "klab-6-lab"
    assert computer.block == {"saved_entry": OLD, "next_entry": "klab-6-lab"}
    patience, wanted, boot = (computer.root / "etc/klab/boot/armed").read_text().splitlines()
    assert (patience, boot) == ("600", "boot-1")
    assert wanted == "BOOT_IMAGE=/boot/vmlinuz-6-lab root=/dev/vda1 ro panic=10 a=1"
    assert "has not restarted" in computer.act("confirm")["msg"]
    computer.starts("6-lab", "root=/dev/vda1 ro panic=10 a=1", monkeypatch)
    assert computer.act("confirm")["confirmed"]
    assert computer.block["saved_entry"] == "klab-6-lab"
    assert computer.act("look", arguments="a=1")["right"]
    assert ("systemctl", "stop", "klab-trial.service") in computer.said


def test_a_kernel_that_falls_back_leaves_nothing(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    computer.act("pin")
    computer.act("arm", arguments="init=/nonexistent")
    computer.starts("6-deb", "root=UUID=U ro panic=10", monkeypatch)  # the old kernel runs again
    done = computer.act("confirm")
    assert (done["confirmed"], done["running"]) == (False, "6-deb")
    assert computer.block["saved_entry"] == OLD
    assert not (computer.root / "etc/klab/boot/armed").exists()
    assert computer.menu.note("trial") is None


def test_other_arguments_of_the_default_leave_it_alone(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer.act("pin", arguments="a=1")
    computer.act("arm", arguments="a=1")
    computer.starts("6-lab", "root=/dev/vda1 ro panic=10 a=1", monkeypatch)
    computer.act("confirm")
    assert computer.act("arm", arguments="a=2")["entry"] == "klab-trial"
    assert computer.menu.note("6-lab") == ("6-lab", "a=1")
    computer.starts("6-lab", "root=/dev/vda1 ro panic=10 a=2", monkeypatch)
    assert computer.act("confirm")["confirmed"]
    assert computer.menu.note("6-lab") == ("6-lab", "a=2")
    assert computer.block["saved_entry"] == "klab-6-lab"


def test_back_to_the_distributions_own(computer: Computer) -> None:
    computer.act("pin")
    assert computer.act("look", "6-deb")["right"]
    assert computer.act("arm", "6-deb")["entry"] == OLD


def test_kexec_leaves_grub_alone(computer: Computer) -> None:
    computer.act("pin")
    computer.act("entry")
    computer.act("arm", kexec=True)
    assert "next_entry" not in computer.block
    loaded = next(argv for argv in computer.said if argv[0] == "kexec")
    assert loaded[-1] == "--command-line=BOOT_IMAGE=/boot/vmlinuz-6-lab root=/dev/vda1 ro panic=10"


def refused(computer: Computer, why: str, release: str = "6-lab") -> None:
    said = computer.act("arm", release)
    assert said["failed"]
    assert why in said["msg"]
    assert "next_entry" not in computer.block


def test_no_default_no_trial(computer: Computer) -> None:
    computer.act("pin")
    del computer.block["saved_entry"]
    refused(computer, "no way back")


def test_default_gone(computer: Computer) -> None:
    computer.act("pin")
    (computer.root / "boot/vmlinuz-6-deb").unlink()
    refused(computer, "the default kernel 6-deb is gone")


def test_grub_cannot_write(computer: Computer) -> None:
    computer.act("pin")
    computer.kind = "btrfs"
    refused(computer, "GRUB cannot write")


@pytest.mark.parametrize("argument", ["a=$b", "dyndbg='x'", "a;b"])
def test_argument_that_grub_would_read_otherwise(computer: Computer, argument: str) -> None:
    computer.act("pin")
    said = computer.act("arm", arguments=argument)
    assert said["failed"]
    assert "cannot stand in the arguments of 6-lab" in said["msg"]
    assert computer.menu.note("trial") is None


def test_not_installed(computer: Computer) -> None:
    computer.act("pin")
    refused(computer, "is not installed", "6-san")


@pytest.mark.parametrize("driver", ["ext4", "virtio_blk"])
def test_driver_of_the_root_is_missing(computer: Computer, driver: str) -> None:
    computer.act("pin")
    computer.put("sys/bus/drivers/virtio_blk/x", "")
    device = computer.root / "sys/devices/virtio0"
    (device / "block/8:1").mkdir(parents=True)
    (device / "driver").symlink_to(computer.root / "sys/bus/drivers/virtio_blk")
    (computer.root / "sys/dev/block/8:1/size").unlink()
    (computer.root / "sys/dev/block/8:1").rmdir()
    (computer.root / "sys/dev/block/8:1").symlink_to(device / "block/8:1")
    all_of_them = "kernel/fs/ext4/ext4.ko\nkernel/drivers/block/virtio_blk.ko.xz\n"
    computer.put("lib/modules/6-deb/modules.dep", all_of_them.replace("\n", ":\n"))
    computer.put("lib/modules/6-lab/modules.builtin", all_of_them)
    assert computer.act("arm")["changed"]
    del computer.block["next_entry"]
    kept = "".join(line for line in all_of_them.splitlines(keepends=True) if driver not in line)
    computer.put("lib/modules/6-lab/modules.builtin", kept)
    refused(computer, f"it lacks the driver {driver} of the root file system")


def test_firmware_that_wants_a_stub(computer: Computer) -> None:
    computer.act("pin")
    computer.put("sys/firmware/efi/x", "")
    computer.put("boot/config-6-lab", "# CONFIG_EFI is not set\n")
    refused(computer, "CONFIG_EFI_STUB")


def test_elsewhere_nothing_is_done(computer: Computer) -> None:
    (computer.root / "boot/grub/grub.cfg").unlink()
    assert computer.act("arm") == {
        "changed": False,
        "grub": False,
        "running": "6-deb",
        "invocation": {
            "module_args": {
                "action": "arm",
                "arguments": "",
                "kexec": False,
                "patience": 600,
                "release": "6-lab",
            }
        },
    }
