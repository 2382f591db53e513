# SPDX-License-Identifier: GPL-3.0-or-later
"""Lab machines as tests see them. No other module of klab imports testinfra."""

from __future__ import annotations

import base64
import io
import json
import shlex
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import testinfra
from testinfra.backend.local import LocalBackend
from testinfra.host import Host

from klab import namespace, store
from klab.classroom.reach import Reached, named
from klab.errors import KlabError
from klab.machine import model
from klab.machine.ssh import Said
from klab.paths import repo_dir
from klab.testing import expect

GROUP = "lab_machines"
STEP = "proof: reach the machine"
CONNECT_S = 10  # a machine that runs shows its ssh banner long before
# A guest that froze keeps its connections open: ask it now and then.
ALIVE = "-o ServerAliveInterval=10 -o ServerAliveCountMax=6 -o BatchMode=yes"


def names(inventory: str) -> list[str]:
    """The hosts of group lab_machines, in the inventory's order.

    Raises KlabError when ansible-inventory cannot read it or the group is empty.
    """
    argv = [
        str(Path(sys.executable).with_name("ansible-inventory")),
        "-i",
        inventory,
        "--list",
        "--limit",
        GROUP,
    ]
    try:
        done = subprocess.run(argv, cwd=repo_dir(), capture_output=True, text=True, check=False)
    except OSError as error:
        raise KlabError(f"cannot run {argv[0]}: {error.strerror}", step=STEP, mend="make .venv") from None
    hosts = json.loads(done.stdout).get(GROUP, {}).get("hosts", []) if done.returncode == 0 else []
    if not hosts:
        raise KlabError(
            f"the inventory {inventory} has no host in the group {GROUP}: {done.stderr.strip()[-500:]}",
            step=STEP,
            mend="name an inventory with --klab-inventory or a machine with --klab-machine",
        )
    return list(hosts)


@dataclass(frozen=True)
class Machine:
    """A lab machine that answers: its record on the hypervisor and its testinfra host."""

    record: model.Machine | Reached
    host: Host

    @property
    def name(self) -> str:
        """The machine's name in the inventory."""
        return self.record.name

    def run(self, command: str, *words: str, root: bool = False, deadline_s: int = 60) -> Said:
        """Run a shell command line there; `%s` in it are `words`, quoted.

        root: through sudo. deadline_s: seconds, kept on the machine; status 124 tells that it
        passed. The test fails when the machine no longer answers.
        """
        __tracebackhide__ = True
        whole = command % tuple(shlex.quote(word) for word in words) if words else command
        sudo = "sudo -n " if root else ""
        # 255 is how ssh tells of its own failures; a command's 255 becomes 254.
        remote = (
            f"{sudo}timeout -k 5 {deadline_s} sh -c {shlex.quote(whole)}; s=$?; exit $((s == 255 ? 254 : s))"
        )
        try:
            done = self.host.run(remote)
        except RuntimeError as error:
            lost = _ssh_error(error)
        else:
            # Decoded here: a program under test may print anything.
            out, err = (part.decode(errors="replace") for part in (done.stdout_bytes, done.stderr_bytes))
            return Said(done.rc, out, err)
        expect.fail(
            f"{self.name} was lost while it ran: {command}",
            observed=lost,
            expected="an answer",
            look=self.record.console,
        )

    def output(self, command: str, *words: str, root: bool = False, deadline_s: int = 60) -> str:
        """The command's stdout; the test fails when its exit status is not 0."""
        __tracebackhide__ = True
        done = self.run(command, *words, root=root, deadline_s=deadline_s)
        if done.code == 0:
            return done.out
        late = f" (its deadline of {deadline_s} s passed)" if done.code in {124, 137} else ""
        expect.fail(
            f"{self.name}: a command failed: {command}",
            observed=f"exit status {done.code}{late}\n{done.out[-1000:]}{done.err[-1000:]}",
            expected="exit status 0",
            look=f"ssh -F {self.record.ssh_config} {self.name}",
        )

    def ask(self, script: Path, *words: str, root: bool = True, deadline_s: int = 60) -> Any:
        """Run a Python script of ours there in one round trip; what it prints is JSON."""
        __tracebackhide__ = True
        command = "python3 -c %s" + " %s" * len(words)
        said = self.output(command, script.read_text(), *words, root=root, deadline_s=deadline_s)
        return json.loads(said)

    def send(self, folder: Path, to: str) -> None:
        """Copy the files of a small folder to the folder `to` there, in one round trip."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:xz") as tar:
            tar.add(folder, arcname=".")
        text = base64.b64encode(packed.getvalue()).decode()
        self.output("mkdir -p %s && echo %s | base64 -d | tar -xJ -C %s", to, text, to)


def _ssh_error(error: RuntimeError) -> str:
    """What ssh said when testinfra's connection failed."""
    return str(getattr(error.args[0], "stderr", error)).strip() or "no reason given"


def reach(name: str) -> Machine:
    """The machine `name`, after it answered over ssh once.

    Raises KlabError when it does not exist or does not answer within CONNECT_S seconds.
    """
    record = named(name)
    spec = f"ssh://{name}?ssh_config={record.ssh_config}&timeout={CONNECT_S}&controlpersist=0"
    host = testinfra.get_host(spec, ssh_extra_args=ALIVE)
    try:
        answer = host.run("echo klab")
    except RuntimeError as error:
        raise KlabError(
            f"{name} does not answer over ssh: {_ssh_error(error)}",
            step=STEP,
            machine=name,
            log=record.console,
            mend=f"klab vm status --name {name}; `make lab` starts it",
        ) from None
    if answer.stdout.strip() != "klab":
        raise KlabError(
            f"{name} answers over ssh, but runs no shell: {answer.stdout!r} {answer.stderr!r}",
            step=STEP,
            machine=name,
            log=record.console,
            mend=f"log in by hand: ssh -F {record.ssh_config} {name}",
        )
    return Machine(record, host)


def kernel_of(name: str) -> store.Entry:
    """The cached kernel that the machine was made from, by its digest in machine.json.

    Raises KlabError when the machine names no kernel or the cache no longer holds it.
    """
    record = model.get(name)
    digest = record.kernel.get("digest", "")
    entry = store.find("kernels", digest) if digest else None
    if entry is None:
        raise KlabError(
            f"the kernel {digest or '(none)'} that {name} was made from is not in the cache",
            step="proof: find the artefact",
            machine=name,
            log=record.file("machine.json"),
            mend="make lab",
        )
    return entry


def junit_properties(name: str) -> list[tuple[str, str]]:
    """What a JUnit report says about the machine of a test."""
    record = model.find(name)
    made_from = {"kernel": record.kernel, "image": record.image} if record else {}
    digests = [(part, facts["digest"]) for part, facts in made_from.items() if "digest" in facts]
    return [("machine", name), *digests]


class _Root(LocalBackend):  # type: ignore[misc] # testinfra has no types
    """Commands run in a root folder, entered as klab enters it: with or without root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__()

    def get_command(self, command: str, *args: str) -> str:
        return shlex.join(namespace.chroot(self.root, ["/bin/sh", "-c", self.quote(command, *args)]))


def inside(root: Path) -> Host:
    """A testinfra host whose commands run inside the root folder `root`."""
    return Host(_Root(root))
