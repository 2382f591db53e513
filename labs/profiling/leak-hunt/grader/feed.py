# SPDX-License-Identifier: GPL-3.0-or-later
"""feed.py REQUESTS: runs ./notes, and says how much memory of its own it has had after each part of them.

Parts are divided by empty lines, and answered into out/answers, before the next one is asked for.
"""

import subprocess
import sys
import time
from pathlib import Path

ANSWERS = Path("out/answers")
PART_S = 60


def anonymous(pid):
    """KiB of memory that is in use and in no file."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("RssAnon:"))


def main(requests):
    parts = Path(requests).read_text().split("\n\n")
    due = 0
    with ANSWERS.open("wb") as out, subprocess.Popen(["./notes"], stdin=subprocess.PIPE, stdout=out) as notes:
        for part in parts:
            lines = part.strip("\n").split("\n")
            due += len(lines)
            try:
                notes.stdin.write("".join(f"{line}\n" for line in lines).encode())
                notes.stdin.flush()
            except BrokenPipeError:
                break
            until = time.monotonic() + PART_S
            while (
                ANSWERS.read_bytes().count(b"\n") < due and notes.poll() is None and time.monotonic() < until
            ):
                time.sleep(0.1)
            if notes.poll() is not None:
                break
            print(f"after {due}: {anonymous(notes.pid)}", flush=True)
        try:
            notes.communicate(timeout=10)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            notes.kill()
    print(f"status: {notes.returncode}")


if __name__ == "__main__":
    main(sys.argv[1])
