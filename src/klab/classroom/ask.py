# SPDX-License-Identifier: GPL-3.0-or-later
"""One shell script on one seat: one round trip, with a deadline."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from klab.classroom.reach import CONNECT_S, Reached
from klab.desk import bounded
from klab.desk.talk import CONTROL
from klab.errors import KlabError
from klab.machine import ssh

LIMIT = 8 << 20  # bytes of an answer


def run(seat: Reached, script: str, *words: str, send: bytes = b"", deadline_s: float = 60.0) -> str:
    """What the script prints; its $1… are `words`. deadline_s: seconds for all of it.

    Raises KlabError when the seat does not answer, or when the script fails.
    """
    if not seat.ssh_config.exists():
        raise _error(seat, "it was never made", f"playbooks/classroom_open.yml --limit {seat.name}")
    argv: Sequence[str] = [
        *("ssh", "-F", str(seat.ssh_config), "-o", "BatchMode=yes"),
        *("-o", f"ConnectTimeout={max(1, min(CONNECT_S, int(deadline_s)))}", seat.name),
        shlex.join(["sh", "-c", script, "klab", *words]),
    ]
    try:
        done = bounded.run(argv, send=send, limit=LIMIT, deadline_s=deadline_s)
    except subprocess.TimeoutExpired:
        raise _error(seat, f"it did not answer within {deadline_s:g} s", "klab class status") from None
    except bounded.TooMuchError:
        raise _error(seat, f"it sent more than {LIMIT >> 20} MiB", "log in and look") from None
    except OSError as error:
        raise _error(seat, f"ssh: {error.strerror}", "apt-get install openssh-client") from None
    said = CONTROL.sub("?", done.stderr.decode(errors="replace").replace("\r", "")).strip()[-500:]
    if done.returncode == ssh.SSH_FAILED:
        mend = f"try it by hand: {ssh.line(seat)} -v"
        if "HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
            mend = (
                f"another computer may stand in its place; if it was made anew, rm {seat.dir / 'known_hosts'}"
            )
        raise _error(seat, said.splitlines()[-1] if said else "ssh failed", mend)
    if done.returncode:
        raise _error(seat, f"exit status {done.returncode}: {said}", f"try it by hand: {ssh.line(seat)}")
    return done.stdout.decode(errors="replace")


def _error(seat: Reached, why: str, mend: str) -> KlabError:
    return KlabError(why, step="class: reach a seat", machine=seat.name, log=seat.dir, mend=mend)
