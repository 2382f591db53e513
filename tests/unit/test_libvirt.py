# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines as domains of libvirt: what virsh is told, and what is made of its answers."""

import os
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from klab.errors import KlabError
from klab.machine import argv, console, domain, libvirt
from klab.machine.model import Machine

QEMU = {"qemu": "http://libvirt.org/schemas/domain/qemu/1.0"}
# Stands for virsh: notes its words, and says to a command what a file of that name has.
VIRSH = """#!/bin/bash
folder=$(dirname "$0")
shift 3
echo "$*" >>"$folder/calls"
[[ $1 == create || $1 == define ]] && cp "$2" "$folder/$1.xml"
cat "$folder/$1.out" 2>/dev/null
[[ -s $folder/$1.err ]] || exit 0
head -n1 "$folder/$1.err" >&2
sed -i 1d "$folder/$1.err"
exit 1
"""


@pytest.fixture
def virsh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a virsh that does nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "virsh").write_text(VIRSH)
    (folder / "virsh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    return folder


def calls(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "calls").read_text().splitlines()]


def machine(**changes) -> Machine:
    fields = {
        "name": "s1",
        "uuid": "7a6fa3a6-6f0a-4b3e-9d1f-3f2a4d0f5c11",
        "machine_type": "pc-q35-7.2",
        "memory": 512,
        "cpus": 2,
        "ssh_port": 2299,
        "gdb_port": 1299,
        "accel": "tcg",
        "accel_reason": "a test",
        "kernel": {"digest": "k", "cmdline": "dma_debug=off"},
        "hardware": argv.HARDWARE,
        "provider": "libvirt",
        "uri": libvirt.SYSTEM,
        "internet": False,
        "ready": 1,
    }
    made = Machine(**{**fields, **changes})
    made.dir.mkdir(parents=True)
    return made


def described(folder: Path, command: str = "define") -> ElementTree.Element:
    return ElementTree.parse(folder / f"{command}.xml").getroot()  # noqa: S314 - klab's own


def words(tree: ElementTree.Element) -> list[str]:
    return [word.get("value", "") for word in tree.iterfind("qemu:commandline/qemu:arg", QEMU)]


def test_devices_stand_where_qemu_puts_those_of_a_machine_of_klab_s_own(virsh: Path) -> None:
    """In the order in which its command line has them, from slot 1 on: else no ready point fits."""
    made = machine()
    libvirt.launch(made, console.BOOT, made.kernel)
    tree = described(virsh)
    slots = {
        "virtio-blk-pci": tree.find("devices/disk/address").get("slot"),
        **dict(re.findall(r"(virtio-\w+-pci)\S*addr=0x(\d)", " ".join(words(tree)))),
        "virtio-rng-pci": tree.find("devices/rng/address").get("slot"),
    }
    line = " ".join(argv.build(made))
    order = re.findall(r"-device ([a-z-]+-pci)", line)
    assert [slots[name] for name in order] == [str(slot) for slot in range(1, len(order) + 1)]
    ports = [re.findall(r"virtserialport\S*", " ".join(each)) for each in (words(tree), argv.build(made))]
    assert ports[0] == ports[1]
    assert len(ports[0]) == 2
    features = [f"{one.get('name')}=off" for one in tree.iterfind("cpu/feature")]
    assert f"-cpu max,{','.join(features)} " in line
    assert [*tree.find("cpu/topology").attrib.values()] == ["1", "2", "1"]
    assert tree.findtext("os/cmdline") in argv.build(made)


def test_one_that_goes_on_waits_for_its_ready_point_and_one_that_boots_does_not(virsh: Path) -> None:
    made = machine()
    libvirt.launch(made, console.RESET, made.kernel)
    assert calls(virsh)[-3:] == ["dominfo", "create", "autostart"]
    assert words(described(virsh, "create"))[-2:] == ["-incoming", "defer"]
    assert f"mem-path={made.file('ready/memory')},share=off" in " ".join(words(described(virsh, "create")))
    assert "-incoming" not in words(described(virsh))


def test_a_kernel_on_trial_is_not_what_the_host_s_next_start_boots(virsh: Path) -> None:
    made = machine()
    libvirt.launch(made, console.BOOT, {"digest": "other"})
    assert "dma_debug=off" in described(virsh).findtext("os/cmdline")
    assert "dma_debug=off" not in described(virsh, "create").findtext("os/cmdline")
    assert "start" not in calls(virsh)


def test_what_was_kept_is_forgotten_unless_it_goes_on(virsh: Path) -> None:
    made = machine()
    libvirt.launch(made, console.RESUME, made.kernel)
    assert "managedsave-remove" not in calls(virsh)
    libvirt.launch(made, console.BOOT, made.kernel)
    assert "managedsave-remove" in calls(virsh)


def test_limits_are_set(virsh: Path) -> None:
    made = machine()
    libvirt.launch(made, console.BOOT, made.kernel)
    assert int(described(virsh).findtext("memtune/hard_limit")) > made.memory + argv.translated(made)
    assert int(described(virsh).findtext("cputune/global_quota")) == 2 * domain.PERIOD_US
    assert (made.limits, made.unlimited) == ("memory, cpus", "")
    assert libvirt.notes(made) == []


def test_what_the_host_cannot_limit_is_left_out_and_told(virsh: Path) -> None:
    first, second = machine(), machine(name="s2")
    (virsh / "start.err").write_text("error: cannot limit locked memory of process 1 to 2\n")
    libvirt.launch(first, console.BOOT, first.kernel)
    assert described(virsh).find("memtune") is None
    assert described(virsh).find("cputune") is not None
    assert first.limits == "cpus"
    libvirt.launch(second, console.BOOT, second.kernel)
    assert calls(virsh).count("start") == 3  # what the first one found out is known
    for made in (first, second):
        assert "limited by libvirt: cpus (virsh start: cannot limit locked" in libvirt.notes(made)[0]


def test_another_failure_is_no_reason_for_fewer_limits(virsh: Path) -> None:
    made = machine()
    (virsh / "start.err").write_text("error: no such disk\n")
    with pytest.raises(KlabError, match="virsh start: no such disk"):
        libvirt.launch(made, console.BOOT, made.kernel)
    assert calls(virsh).count("start") == 1


def test_a_user_s_own_daemon_limits_nothing_and_runs_as_that_user(
    virsh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt, "os", SimpleNamespace(getuid=lambda: 1000, environ=os.environ))
    assert libvirt.default_uri() == libvirt.SESSION
    made = machine(uri=libvirt.SESSION)
    libvirt.launch(made, console.BOOT, made.kernel)
    tree = described(virsh)
    assert [tree.find(name) for name in ("memtune", "cputune", "seclabel")] == [None] * 3
    assert made.limits == "none"


def test_what_would_keep_it_from_its_folder_is_left_out(virsh: Path) -> None:
    (virsh / "dominfo.out").write_text("Name: x\nSecurity model: apparmor\n")
    made = machine()
    libvirt.launch(made, console.BOOT, made.kernel)
    labels = [
        (one.get("model"), one.get("type"), one.findtext("label"))
        for one in described(virsh).iter("seclabel")
    ]
    assert labels == [("dac", "static", f"+{os.getuid()}:+{os.getgid()}"), ("apparmor", "none", None)]


def test_the_student_s_klab_is_answered_from_this_state(virsh: Path, tmp_path: Path) -> None:
    """libvirt gives its QEMU another home."""
    made = machine()
    libvirt.launch(made, console.BOOT, made.kernel)
    net = next(word for word in words(described(virsh)) if word.startswith("user,"))
    assert "restrict=on" in net
    said = shlex.split(net.partition("-cmd:")[2])
    assert said[0] == "env"
    assert f"KLAB_STATE={tmp_path / 'state'}" in said
    assert said[-2:] == ["desk", "s1"]


def test_names_and_paths_are_text(virsh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "a & <b>\"c'"))
    made = machine()
    libvirt.launch(made, console.BOOT, made.kernel)
    assert described(virsh).find("devices/disk/source").get("file") == str(made.disk)


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("Failed to connect socket to '/run/libvirt/libvirt-sock': No such file", "systemctl start libvirtd"),
        ("Failed to connect socket to '/run/libvirt/virtlogd-sock': No such file", "stdio_handler"),
        ("authentication unavailable: no polkit agent available", "group libvirt"),
        ("Emulator '/usr/bin/x' does not support machine type 'pc-q35-9.0'", "another QEMU"),
        ("operation failed: domain 'klab-s1' already exists with uuid 0", "virsh undefine"),
        ("something new", "virsh -c qemu:///system define"),
    ],
)
def test_what_virsh_says_comes_with_what_to_do(virsh: Path, said: str, mend: str) -> None:
    (virsh / "define.err").write_text(f"error: {said}\n")
    made = machine()
    with pytest.raises(KlabError, match=re.escape(said)) as caught:
        libvirt.launch(made, console.BOOT, made.kernel)
    assert mend in caught.value.mend


def test_without_virsh_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KlabError) as caught:
        libvirt.check(libvirt.SYSTEM, "tcg")
    assert "libvirt-clients" in caught.value.mend


def test_one_that_is_gone_can_be_removed_and_one_that_cannot_be_asked_for_stays(virsh: Path) -> None:
    made = machine()
    for command in ("destroy", "undefine"):
        (virsh / f"{command}.err").write_text("error: failed to get domain 'klab-s1'\n")
    libvirt.remove(made)
    (virsh / "destroy.err").write_text("error: Failed to connect socket to '/run/libvirt/libvirt-sock'\n")
    with pytest.raises(KlabError, match="libvirt-sock"):
        libvirt.remove(made)
