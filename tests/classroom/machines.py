# SPDX-License-Identifier: GPL-3.0-or-later
"""A class of real machines in a state folder of its own, and the commands of its teacher."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from klab.classroom import definition, reach
from klab.classroom.model import Class
from klab.machine import model
from klab.paths import repo_dir

KLAB = (sys.executable, "-m", "klab")
LAB = "kernel-architecture/lkm-lifecycle"
DEADLINE_S = 900
SSH_S = 90
WHO = """hostname; cat /etc/hostname /etc/machine-id /sys/class/net/eth0/address
ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' '"""
FACTS = ("host name", "its file", "machine id", "address", "host key", "random bytes")


class Room:
    """The class. inside: words before each command, which run it where its hypervisor's daemon is."""

    def __init__(self, folder: Path, inside: Sequence[str] = ()) -> None:
        self.folder = folder
        self.inside = tuple(inside)

    @property
    def class_(self) -> Class:
        """The class as its teacher's files say it."""
        return definition.load(self.folder)

    def say(self, *words: str | Path, code: int = 0) -> str:
        """What a command says, which must end with `code`."""
        argv = [*self.inside, *map(str, words)]
        done = subprocess.run(
            argv, cwd=repo_dir(), capture_output=True, text=True, check=False, timeout=DEADLINE_S
        )
        assert done.returncode == code, done.stdout[-4000:] + done.stderr[-1000:]
        return done.stdout

    def play(self, name: str, *words: str, code: int = 0) -> str:
        """What a playbook says."""
        playbook = repo_dir() / ".venv/bin/ansible-playbook"
        return self.say(playbook, f"playbooks/{name}.yml", "-i", self.folder, *words, code=code)

    def vm(self, *words: str, code: int = 0) -> dict[str, Any]:
        """What `klab vm WORDS` answers."""
        said = self.say(*KLAB, "vm", *words, "--json", code=code)
        return dict(json.loads(said.splitlines()[-1]))

    def klab(self, *words: str, code: int = 0) -> dict[str, Any]:
        """What `klab class WORDS` answers."""
        argv = [*KLAB, "class", *words, "--class", self.folder, "--json"]
        return dict(json.loads(self.say(*argv, code=code).splitlines()[-1]))

    def run(self, seat: str, command: str, code: int = 0) -> str:
        """A command of the student's on a seat, by the teacher's key."""
        reached = reach.of(self.class_, self.class_.seat(seat))
        argv = ["ssh", "-F", reached.ssh_config, "-o", "BatchMode=yes", reached.name, command]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SSH_S)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def who(self, seat: str) -> dict[str, str]:
        """What makes a seat itself."""
        return dict(zip(FACTS, self.run(seat, WHO).splitlines(), strict=True))


@contextmanager
def opened(
    place: Path, name: str, hypervisor: str, inside: Sequence[str] = (), seats: Sequence[str] = ("a", "b")
) -> Iterator[Room]:
    """A class, open. hypervisor: what klab.yml says of this computer, and the lines of others."""
    folder = shutil.copytree(repo_dir() / "inventories/classroom", place / "inventory")
    rows = [f"{seat},{seat.upper()},,,," for seat in seats]
    (folder / "roster.csv").write_text("\n".join(["login,name,key,seat,group,path", *rows]) + "\n")
    text = (folder / "klab.yml").read_text().replace("class: kernel\n", f"class: {name}\n")
    (folder / "klab.yml").write_text(text.replace("{provider: qemu}", hypervisor))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KLAB_STATE", str(place / "state"))
        room = Room(folder, inside)
        try:
            room.play("classroom_open")
            yield room
        finally:
            for machine in model.everyone():
                room.vm("destroy", "--name", machine.name, "--yes")
