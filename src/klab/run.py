# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program with a log that can be replayed, a deadline and a clean end."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from klab.errors import KlabError

# Should we be killed outright, the kernel ends what we started (and with it, in a
# PID namespace, all its children).
TIED = ("setpriv", "--pdeathsig", "KILL", "--")
# How programs tell of a full disk; tar sees only that a write fell short, dash not even why.
FULL = re.compile(
    r"No space left on device|Disk quota exceeded|Wrote only \d+ of \d+ bytes|printf: I/O error"
)
TAIL = 12  # lines of a log that an error shows


@dataclass(frozen=True)
class Result:
    """What a finished program used: wall and CPU seconds (its children included)."""

    wall_s: float
    cpu_s: float


def tail(log: Path, lines: int = TAIL) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


_TELLING = re.compile(r"\berror: |#error|\*\*\* \[|^E: |fatal error", re.MULTILINE)


def telling(log: Path) -> str:
    """The part of a log that tells why: around its first error, else its last lines.

    Parallel jobs go on for a while after the first has failed, so that the end of a
    build's log is rarely the reason.
    """
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for number, line in enumerate(lines[1:], 1):
        if _TELLING.search(line):
            return "\n".join(lines[max(number - 4, 1) : number + 3])
    return "\n".join(lines[1:][-TAIL:])


def _end(process: subprocess.Popen[str]) -> None:
    """Stop the whole process group, politely first."""
    for sig, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sig)
            process.wait(patience)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def logged(
    argv: Sequence[str | Path],
    *,
    log: Path,
    step: str,
    mend: str = "read the log",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    deadline_s: float | None = None,
    on_line: Callable[[str], None] | None = None,
    append: bool = False,
) -> Result:
    """Run `argv`, everything it prints going to `log`.

    The log's head is the command line that repeats the run by hand. `on_line`
    sees each line as it comes. Raises KlabError when the program is missing,
    fails or overruns `deadline_s` (seconds); its process group never outlives us.
    """
    words = [str(word) for word in argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    before = os.times()
    late = False
    with log.open("a" if append else "w") as out:
        where = f"cd {shlex.quote(str(cwd))} && " if cwd else ""
        extra = "".join(f"{k}={shlex.quote(v)} " for k, v in sorted((env or {}).items()))
        out.write(f"# to repeat: {where}{extra}{shlex.join(words)}\n")
        out.flush()
        if not shutil.which(words[0]):
            raise KlabError(
                f"cannot run {words[0]}: there is no such program",
                step=step,
                mend="klab doctor names what is missing",
            )
        process = subprocess.Popen(
            [*TIED, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=cwd,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )

        def overrun() -> None:
            nonlocal late
            late = True
            _end(process)

        timer = Timer(deadline_s, overrun) if deadline_s else None
        if timer:
            timer.daemon = True
            timer.start()
        try:
            for line in process.stdout or ():
                out.write(line)
                out.flush()
                if on_line:
                    on_line(line.rstrip("\n"))
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            if timer:
                timer.cancel()
    if late:
        raise KlabError(f"{words[0]} did not end within {deadline_s:g} s", step=step, log=log, mend=mend)
    if code and FULL.search(tail(log, 200)):
        raise KlabError(
            f"{Path(words[0]).name} ran out of disk space",
            step=step,
            log=log,
            mend="free some space (see klab cache list) and start again: it goes on from here",
        )
    if code:
        raise KlabError(
            f"{Path(words[0]).name} ended with exit status {code}:\n{telling(log)}",
            step=step,
            log=log,
            mend=mend,
        )
    after = os.times()
    cpu = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return Result(round(time.monotonic() - started, 2), round(cpu, 2))
