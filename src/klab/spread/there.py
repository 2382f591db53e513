# SPDX-License-Identifier: GPL-3.0-or-later
"""Another computer, as ssh reaches it: by the teacher's own keys, known_hosts and ~/.ssh/config."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from klab import sockets
from klab.errors import KlabError
from klab.machine.ssh import SSH_FAILED

STEP = "hypervisor: reach it"
# Below the home of whoever klab logs in as. Ansible names it so, too: ssh begins in that home.
PLACE = ".local/share/klab"
PYTHON = f"{PLACE}/bin/python"
PLAIN = "export LC_ALL=C.UTF-8"  # what programs say is looked at
CONNECT_S = 20
RUN_S = 120.0
TAIL = 500  # characters of what it said that an error shows

MENDS = {
    r"IDENTIFICATION HAS CHANGED": "another computer may stand in its place; if it was made anew, "
    "ssh-keygen -R takes the old key out of your known_hosts",
    r"Host key verification failed": "log in once by hand and compare its host key",
    r"Permission denied": "its account must take your key: ssh-copy-id, or ssh-add for one with a passphrase",
    r"Could not resolve": "mend its address in klab.yml",
}
SILENT = "see whether it is up and runs sshd"


@dataclass(frozen=True)
class There:
    """A hypervisor that is another computer. name: as its class calls it; user "": as ssh has it."""

    name: str
    address: str
    user: str = ""
    port: int = 22

    @property
    def ssh(self) -> list[str]:
        """ssh's words up to the address. Many calls share one connection."""
        key = hashlib.sha256(f"{self.user}@{self.address}:{self.port}".encode()).hexdigest()[:12]
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": CONNECT_S,
            "ServerAliveInterval": 15,
            "ControlMaster": "auto",
            "ControlPersist": 60,
            "ControlPath": sockets.folder() / f"{key}-to",
        }
        words = ["ssh", *(f"-o{name}={value}" for name, value in settings.items()), "-p", str(self.port)]
        return words + (["-l", self.user] if self.user else [])

    @property
    def login(self) -> str:
        """The command that logs in, as a person would type it."""
        port = f"-p {self.port} " if self.port != 22 else ""
        return f"ssh {port}{self.user}{'@' if self.user else ''}{self.address}"

    def error(self, what: str, mend: str, step: str = STEP) -> KlabError:
        """An error of this computer, by its name."""
        return KlabError(f"{self.name}: {what}", step=step, machine=self.name, mend=mend)

    def ssh_failed(self, said: str) -> KlabError:
        """Why ssh could not reach it, from what ssh said."""
        mend = next((mend for sign, mend in MENDS.items() if re.search(sign, said)), SILENT)
        lines = [line for line in said.strip().splitlines() if line.strip()]
        return self.error(f"ssh: {lines[-1] if lines else 'no answer'}", f"{mend}; by hand: {self.login}")

    def run(
        self, script: str, *words: str, send: bytes = b"", deadline_s: float = RUN_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script there; its $1… are `words`, `send` is its input. deadline_s: seconds.

        Raises KlabError when ssh fails or the script takes too long, not when the script fails.
        """
        words = ("sh", "-c", f"{PLAIN}; {script}", "klab", *words)
        argv = [*self.ssh, "--", self.address, shlex.join(words)]
        # Files, not pipes: the shared connection's master outlives this ssh, and would hold their ends.
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(send)
            given.seek(0)
            try:
                code = subprocess.run(
                    argv, stdin=given, stdout=out, stderr=err, check=False, timeout=deadline_s
                ).returncode
            except subprocess.TimeoutExpired:
                raise self.error(f"it did not answer within {deadline_s:g} s", SILENT) from None
            except OSError as error:
                raise self.error(f"ssh: {error.strerror}", "apt-get install openssh-client") from None
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
        if code == SSH_FAILED:
            raise self.ssh_failed(texts[1])
        return subprocess.CompletedProcess(argv, code, *texts)

    def klab(self, words: Sequence[str], *, deadline_s: float = RUN_S) -> dict[str, Any]:
        """What the klab there answers to a verb.

        Raises KlabError as that klab does, in the name of this computer, and when there is none.
        """
        done = self.run(f'exec "$HOME/{PYTHON}" -m klab "$@"', *words, "--json", deadline_s=deadline_s)
        try:
            answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        except (ValueError, IndexError):
            said = (done.stderr or done.stdout).strip()[-TAIL:]
            raise self.error(
                f"its klab gives no answer to {words[0]}: {said}",
                f"the next opening of the class lays it anew; by hand: {self.login} rm -r {PLACE}",
            ) from None
        if answer.get("failed"):
            told = answer["error"]
            log = told.get("log", "")
            mend = f"there: {told.get('mend', '')}" + (f"; its log: {log}" if log else "")
            raise self.error(told["what"], mend, told.get("step", STEP))
        return answer
