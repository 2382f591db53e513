# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive over HTTP: Python's own static server as a process of this user.

As with a machine's QEMU a recorded pid is only a hint; the command line, which names the
archive's folder, is the proof.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from klab.archive import place
from klab.errors import KlabError
from klab.machine import ports
from klab.paths import log_dir
from klab.run import tail

PORT = 8470  # the first one tried where no port was asked for
START_S = 20.0  # Python under load
STEP = "archive: serve"
ANY = "0.0.0.0"  # noqa: S104 - only compared with
GUEST_VIEW = "10.0.2.2"  # the host's loopback as a machine with user networking sees it


@dataclass(frozen=True)
class Server:
    """Where the archive is served; pid is 0 while it is not."""

    listen: str
    port: int
    pid: int = 0

    @property
    def url(self) -> str:
        """For this host."""
        return f"http://{self.listen}:{self.port}"

    @property
    def guest_url(self) -> str:
        """For a machine on this host."""
        seen = GUEST_VIEW if self.listen in (ports.LOOPBACK, ANY) else self.listen
        return f"http://{seen}:{self.port}"

    @property
    def argv(self) -> list[str]:
        """The command line; -I keeps the caller's folder and environment out of it."""
        words = [sys.executable, "-I", "-m", "http.server", str(self.port), "--bind", self.listen]
        return [*words, "--directory", str(place.www())]


def _record() -> Path:
    return place.folder() / "server.json"


def _save(server: Server) -> None:
    draft = _record().with_suffix(".new")
    draft.write_text(json.dumps(asdict(server)) + "\n")
    draft.replace(_record())


def _serves(pid: int) -> bool:
    """Whether `pid` is a living server of this archive."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX" and b"http.server" in words and str(place.www()).encode() in words


def known() -> Server:
    """The server as it was last started, or as it would be; its pid only while it lives.

    By its command line it is found even where no pid was noted.
    """
    try:
        server = Server(**json.loads(_record().read_text()))
    except (OSError, ValueError, TypeError):
        return Server(ports.LOOPBACK, PORT)
    pids = [server.pid, *(int(entry.name) for entry in Path("/proc").glob("[0-9]*"))]
    return replace(server, pid=next((pid for pid in pids if pid and _serves(pid)), 0))


def _answers(server: Server) -> bool:
    with suppress(urllib.error.URLError, OSError):
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{server.url}/index.json", timeout=2):
            return True
    return False


def up(listen: str, port: int) -> bool:
    """Serve at `listen`:`port`; False when that is so already.

    port: 0 is the one that it had, which machines have noted, at first any free one.
    A server at another address is ended first. Raises KlabError when nothing is
    published yet, the port is taken or the server does not answer.
    """
    if not place.www().exists():
        raise KlabError(
            "nothing has been published yet",
            step=STEP,
            mend="klab archive publish --flavour lab, then klab archive up",
        )
    now = known()
    port = port or (now.port if _record().exists() else ports.pick(PORT, ()))
    if now.pid and (now.listen, now.port) == (listen, port):
        return False
    down()
    server = Server(listen, port)
    if not ports.free(port):
        raise KlabError(
            f"port {port} on {ports.LOOPBACK}, wanted for the archive, is held by {ports.holder(port)}",
            step=STEP,
            mend="end that process, or choose another port: klab archive up --port …",
        )
    log = log_dir() / "archive_server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    _save(server)  # before it runs: a run cut off here leaves none that is not found again
    with log.open("w") as out:
        process = subprocess.Popen(
            server.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True
        )
    _save(replace(server, pid=process.pid))
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(server):
            return True
        time.sleep(0.05)
    code = process.poll()
    down()
    process.wait()
    how = f"ended at once (status {code})" if code is not None else f"does not answer after {START_S:g} s"
    raise KlabError(f"the archive's server {how}:\n{tail(log)}", step=STEP, log=log, mend="read the log")


def down() -> bool:
    """End the server; False when there was none. Raises KlabError when it does not die."""
    pid = known().pid
    for sig in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 5
        if _serves(pid):
            os.kill(pid, sig)
        while _serves(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
    if _serves(pid):
        raise KlabError(f"the archive's server (pid {pid}) does not die", step=STEP, mend="look at dmesg")
    return bool(pid)
