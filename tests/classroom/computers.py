# SPDX-License-Identifier: GPL-3.0-or-later
"""Other computers that can hold machines: Debian, QEMU and sshd, a user who is not root, and no klab.

They are light seats (light.py) of a tree of their own: another Python and another QEMU than this
computer's may be in it. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from classroom import light
from classroom.light import Light
from classroom.machines import Room
from klab import debtree, store
from klab import digest as digests
from klab.classroom import reach
from klab.kernel import root
from klab.paths import log_dir, repo_dir

USER = "student"
SUITE = "trixie"
# As docs/guide/instructor.md names them, for libvirt, too; procps is the tests' own.
PACKAGES = (
    *("openssh-server", "openssh-client", "python3", "qemu-system-x86", "qemu-utils", "rsync"),
    *("libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients", "procps"),
)
ACCOUNT = f"useradd --create-home --uid 1000 --shell /bin/bash {USER}"
DISK_MIB = 8192
# A command sees the teacher's keys and known hosts where ssh looks for root's.
SEES = 'mount --bind "$1" "$HOME/.ssh"; shift; exec "$@"'


def tree() -> Path:
    """Such a computer's files, made once (a minute, and some 150 MB from Debian's archive)."""
    digest = digests.of_data(["hypervisor of tests", SUITE, PACKAGES, ACCOUNT])
    with store.drafting(root.KIND, digest, wait=True) as draft:
        if entry := store.find(root.KIND, digest):
            return entry.path / "tree"
        made = draft.path / "tree"
        hook = f'--customize-hook=chroot "$1" {ACCOUNT}'
        log = log_dir() / "test-hypervisor.log"
        debtree.make(SUITE, PACKAGES, made, log=log, step="tests: hypervisor", extra=[hook])
        facts = {"toolchain": "hypervisor of tests", "rebuild": "pytest tests/classroom/test_hypervisors.py"}
        (draft.path / "packages.txt").write_text(
            "".join(f"{name} {version}\n" for name, version in debtree.versions(made).items())
        )
        return draft.publish(facts, ["packages.txt"]).path / "tree"


@dataclass(frozen=True)
class Computers:
    """Those that stand. inside: words before a command, which then reaches them as their teacher does."""

    all: list[Light]
    inside: list[str]


class Away(Room):
    """A class that such computers hold, and the computers in the order of `hypervisors`.

    hypervisors: what klab.yml says of each beside its address and user. place: a folder, of which
    its files take a part; klab's state there must be a state of the test's own.
    """

    def __init__(
        self, place: Path, name: str, seats: Sequence[str], made: Computers, hypervisors: dict[str, str]
    ) -> None:
        folder = shutil.copytree(repo_dir() / "inventories/classroom", place / "inventory")
        rows = [f"{seat},{seat.upper()},,,," for seat in seats]
        (folder / "roster.csv").write_text("\n".join(["login,name,key,seat,group,path", *rows, ""]))
        lines = [
            f"  {called}: {{address: {one.address}, user: {USER}, {more}}}\n"
            for one, (called, more) in zip(made.all, hypervisors.items(), strict=True)
        ]
        text = (folder / "klab.yml").read_text().replace("class: kernel\n", f"class: {name}\n")
        text = text.replace("  localhost: {provider: qemu}\n", "".join(lines))
        (folder / "klab.yml").write_text(text)
        super().__init__(folder, made.inside)
        self.all = made.all

    def run(self, seat: str, command: str, code: int = 0) -> str:
        """A command of the student's, by the teacher's key and through the hypervisor."""
        reached = reach.of(self.class_, self.class_.seat(seat))
        return self.say("ssh", "-F", reached.ssh_config, "-oBatchMode=yes", reached.name, command, code=code)


@contextmanager
def standing(count: int, place: Path) -> Iterator[Computers]:
    """So many computers; this thread stands on their network. place: a new folder."""
    teacher = place / "ssh"
    teacher.mkdir(mode=0o700)
    key = teacher / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (Path.home() / ".ssh").mkdir(mode=0o700, exist_ok=True)
    short = Path(tempfile.mkdtemp(prefix="klab-"))  # sockets lie in it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(short))
        patch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", str(short))
        try:
            public = key.with_suffix(".pub")
            with light.world(count, public, name="far", disk_mib=DISK_MIB, disk=tree()) as made:
                known = [f"{one.address} {one.run('cat /etc/ssh/ssh_host_ed25519_key.pub')}" for one in made]
                (teacher / "known_hosts").write_text("".join(known))
                inside = ["unshare", "--mount", "sh", "-euc", SEES, "sh", str(teacher)]
                try:
                    yield Computers(made, inside)
                finally:
                    _hang_up(short)
        finally:
            shutil.rmtree(short)


def _hang_up(folder: Path) -> None:
    """End the connections that are shared by sockets in the folder."""
    for path in [found for found in folder.rglob("*") if found.is_socket()]:
        argv = ["ssh", "-O", "exit", "-S", str(path), "there"]
        subprocess.run(argv, capture_output=True, check=False, timeout=10, env={**os.environ, "LC_ALL": "C"})
