# SPDX-License-Identifier: GPL-3.0-or-later
"""A class on a computer that is there already gives it the kernel, signed, with a way back."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures import grubmachine, playbooks, rosters
from fixtures.grubmachine import Computer, lab
from klab.kernel import artefact
from klab.paths import repo_dir

SEAT = "old-pc"
DEFINITION = """\
plugin: klab
class: old
roster: roster.csv
labs: [raw-syscall]
{archive}existing:
  pc: {{address: 127.0.0.1, port: {port}, user: student, kernel: {kernel}}}
"""
# 300 MB that no boot needs.
LESS = {"kernel_install_vmlinux": False}


@dataclass(frozen=True)
class Room:
    """The computer, and the class that it is the only seat of."""

    computer: Computer
    folder: Path

    def define(self, kernel: str, archive: str) -> None:
        """Write what the class wants."""
        port, line = self.computer.machine.ssh_port, f"archive: {archive}\n" if archive else ""
        (self.folder / "klab.yml").write_text(DEFINITION.format(port=port, kernel=kernel, archive=line))

    def open(self, *words: str, code: int = 0, **more: object) -> tuple[dict[str, int], str]:
        """Open the class; what was counted for the seat, and what was said."""
        machine = self.computer.machine
        key = f"-i {machine.dir / 'id_ed25519'} -o UserKnownHostsFile={self.folder.parent / 'known_hosts'}"
        env = {"ANSIBLE_SSH_ARGS": f"{key} -o StrictHostKeyChecking=accept-new", "ANSIBLE_TIMEOUT": "60"}
        given = json.dumps({**LESS, **more})
        recap, said = playbooks.play(
            "classroom_open", "-i", str(self.folder), "-e", given, *words, env=env, code=code
        )
        return recap[SEAT], said


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("class")
    with grubmachine.running(folder, internet=True) as computer:
        place = folder / "class"
        rosters.write(place, [f"ada,Ada,{rosters.key('ada')},pc,,"])
        shutil.copytree(repo_dir() / "inventories/classroom/group_vars", place / "group_vars")
        made = Room(computer, place)
        made.define("boot", "127.0.0.1")
        try:
            yield made
        finally:
            subprocess.run([sys.executable, "-m", "klab", "archive", "down"], check=False)


def test_a_rehearsal_changes_nothing(room: Room) -> None:
    _, said = room.open("--check")
    assert f"the kernel of flavour lab is installed and started on {SEAT}" in said
    assert room.computer.says("uname -r; ls /boot/vmlinuz-*").splitlines() == [
        room.computer.first,
        f"/boot/vmlinuz-{room.computer.first}",
    ]


def test_it_may_come_over_ssh_and_only_lie_there(room: Room) -> None:
    room.define("install", "")
    try:
        counts, said = room.open()
        assert counts["failed"] == 0, said
        assert "kernel_install : Switch" not in said
        there = room.computer.says("uname -r; ls /boot; ls /etc/apt/sources.list.d").splitlines()
        assert (there[0], f"vmlinuz-{lab()}" in there, "klab.sources" in there) == (
            room.computer.first,
            True,
            False,
        )
        assert f"linux-image-{lab()}" in room.computer.says(f"dpkg-query -W 'linux-image-{lab()}'")
        counts, said = room.open()
        assert counts["changed"] == 0, said
    finally:
        room.define("boot", "127.0.0.1")
        room.computer.says(f"sudo apt-get purge -qq -y linux-image-{lab()}")


def test_a_kernel_that_dies_costs_the_seat_and_the_computer_is_back_on_its_own(room: Room) -> None:
    _, said = room.open(code=2, kernel_install_cmdline=["rdinit=/nonexistent"])
    back = f"did not stay up on {SEAT}, which is back on the last good one, {room.computer.first}."
    assert back in " ".join(said.split()), said
    assert room.computer.says("uname -r") == room.computer.first


def test_the_kernel_comes_from_the_signed_archive_and_runs(room: Room) -> None:
    counts, said = room.open()
    assert counts["failed"] == 0, said
    assert room.computer.says("uname -r") == lab()
    assert f"vmlinuz-{room.computer.first}" in room.computer.says("ls /boot"), "the old kernel is gone"
    source = room.computer.says("cat /etc/apt/sources.list.d/klab.sources")
    assert "Signed-By: /etc/apt/keyrings/klab.asc" in source
    version = room.computer.says(f"dpkg-query -W -f '${{Version}}' linux-image-{lab()}")
    assert version.endswith(artefact.get("lab").digest[:12])
    known = room.computer.says(f"apt-cache policy linux-image-{lab()}")
    assert re.search(rf"\*\*\* {re.escape(version)} .*\n .*http://\S+ klab/main amd64 Packages", known), known
    assert room.computer.says("ls /var/cache/klab/*.deb 2>/dev/null || true") == "", "it was copied"


def test_again_changes_nothing(room: Room) -> None:
    before = room.computer.says("cat /proc/sys/kernel/random/boot_id")
    counts, said = room.open()
    assert counts["changed"] == 0, said
    assert room.computer.says("cat /proc/sys/kernel/random/boot_id") == before
