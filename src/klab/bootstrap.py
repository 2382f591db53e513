# SPDX-License-Identifier: GPL-3.0-or-later
"""From git, make and Python to a ready `.venv`: the first step of every `make` verb.

Only the standard library: nothing else is there yet. Host packages come first (as
root they are installed, otherwise the one apt line is printed and we stop), then the
pinned requirements. A stamp, written last, says what the venv holds: without it the
venv is half made and is made anew; with the right one there is nothing to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
HOST = json.loads((Path(__file__).parent / "data" / "host.json").read_text())
VENV = REPO / ".venv"
STAMP = VENV / "klab-stamp.json"
LOCK = REPO / ".cache" / "bootstrap.lock"
LOG = REPO / ".cache" / "bootstrap.log"
OTHERS = ("python3.13", "python3.12", "python3.11")  # tried when `python3` is too old


class Stop(Exception):
    """A reason to stop, as the sentences that the user reads."""


def say(text: str) -> None:
    """A line of progress."""
    print(f"bootstrap: {text}", flush=True)


def right_python() -> None:
    """Go on under a Python that is new enough and not the venv's own, or raise Stop."""
    if Path(sys.prefix) == VENV:  # somebody has activated it; making it anew needs the one below
        base: str = sys._base_executable  # type: ignore[attr-defined]
        os.execv(base, [base, *sys.argv])  # noqa: S606 - no shell is wanted
    wanted = tuple(HOST["python"])
    if sys.version_info >= wanted:
        return
    for name in OTHERS:
        if path := shutil.which(name):
            os.execv(path, [path, *sys.argv])  # noqa: S606 - no shell is wanted
    have = ".".join(map(str, sys.version_info[:3]))
    need = ".".join(map(str, wanted))
    raise Stop(
        f"Python {have} is too old, klab needs {need}.\n  do: install it, then: make PYTHON=/path/to/python3"
    )


def proved(tool: dict[str, Any]) -> bool:
    """Whether a tool of host.json is there and answers."""
    command = [word.replace("{python}", sys.executable) for word in tool["prove"]]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def missing() -> list[dict[str, Any]]:
    """The tools that do not answer."""
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(proved, HOST["tools"]))
    return [tool for tool, answer in zip(HOST["tools"], answers, strict=True) if not answer]


def run_logged(command: list[str], **env: str) -> None:
    """Run a command into LOG; Stop with its last lines when it fails."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("a") as log:
        log.write(f"# {' '.join(command)}\n")
        log.flush()
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            check=False,
        )
    if done.returncode:
        end = "\n    ".join(LOG.read_text(errors="replace").splitlines()[-8:])
        raise Stop(f"`{' '.join(command)}` ended with {done.returncode}:\n    {end}\n  log: {LOG}")


def host_packages() -> None:
    """Install or name what the host lacks."""
    lacking = missing()
    if not lacking:
        return
    names = [tool["package"] for tool in lacking]
    reasons = "\n".join(f"  {tool['package']:<24} {tool['why']}" for tool in lacking)
    line = f"apt-get install --no-install-recommends -y {' '.join(names)}"
    if not shutil.which("apt-get"):
        proofs = "\n".join(f"  {tool['package']:<24} {' '.join(tool['prove'])}" for tool in lacking)
        raise Stop(
            f"this host lacks (Debian's package names):\n{reasons}\n"
            "This is not Debian or Ubuntu, so klab does not know its package names.\n"
            f"  do: install what makes these commands succeed, then run make again\n{proofs}"
        )
    if os.geteuid():
        raise Stop(f"this host lacks:\n{reasons}\n  do: sudo {line}")
    say(f"installing host packages: {' '.join(names)}")
    run_logged(["apt-get", "update", "-q"])
    run_logged(line.split(), DEBIAN_FRONTEND="noninteractive")
    if left := [tool["package"] for tool in missing()]:
        raise Stop(f"installed, but still not answering: {' '.join(left)}\n  log: {LOG}")


def wanted_stamp() -> dict[str, str]:
    """What a finished venv of this checkout and Python says about itself."""
    project = (REPO / "pyproject.toml").read_text().partition("[tool.ruff")[0]  # linters install nothing
    content = (REPO / "requirements.txt").read_text() + project
    return {
        "python": f"{sys.version} {Path(sys.executable).resolve()}",
        "place": str(VENV),  # its scripts hold this path, so a moved checkout needs a new venv
        "pins": hashlib.sha256(content.encode()).hexdigest(),
    }


def found_stamp() -> dict[str, str]:
    """The venv's stamp, empty when the venv is not whole."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    whole = isinstance(stamp, dict) and os.access(VENV / "bin" / "python", os.X_OK)
    return stamp if whole else {}


def venv() -> None:
    """Make `.venv` what requirements.txt says, unless it is."""
    wanted, found = wanted_stamp(), found_stamp()
    if found == wanted:
        return
    started = time.monotonic()
    STAMP.unlink(missing_ok=True)
    python = str(VENV / "bin" / "python")
    if {**found, "pins": ""} != {**wanted, "pins": ""}:
        say(f"making .venv with Python {sys.version.split()[0]}, about a minute")
        shutil.rmtree(VENV, ignore_errors=True)
        run_logged([sys.executable, "-m", "venv", str(VENV)])
    else:
        say("bringing .venv up to requirements.txt")
    # --no-compile: ansible's 30,000 modules are compiled when first used, if ever
    pip = [python, "-m", "pip", "install", "--no-compile", "--no-input", "--progress-bar=off"]
    run_logged([*pip, "-r", str(REPO / "requirements.txt")])
    run_logged([*pip, "--no-deps", "--no-build-isolation", "-e", str(REPO)])
    run_logged([python, "-m", "pip", "check"])
    draft = STAMP.with_suffix(".new")
    draft.write_text(json.dumps(wanted, indent=2) + "\n")
    draft.rename(STAMP)
    say(f".venv is ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    """Do it, one bootstrap of a checkout at a time."""
    try:
        right_python()
        LOCK.parent.mkdir(exist_ok=True)
        with LOCK.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another bootstrap is at work here; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            host_packages()
            venv()
    except Stop as reason:
        print(f"bootstrap: {reason}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that belongs to someone else
        print(f"bootstrap: {error}\n  do: mend that and run make again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bootstrap: stopped; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
