# SPDX-License-Identifier: GPL-3.0-or-later
"""A program whose output somebody else decides over ends in time, and with no more than was allowed."""

import subprocess
import time

import pytest

from klab.desk import bounded


def test_it_gets_its_input_and_both_streams_are_kept() -> None:
    send = b"x" * 3_000_000
    done = bounded.run(["sh", "-c", "cat; echo bad >&2; exit 7"], limit=4_000_000, deadline_s=20, send=send)
    assert (done.returncode, done.stdout, done.stderr) == (7, send, b"bad\n")


@pytest.mark.parametrize("where", ["1", "2"])
def test_one_that_writes_without_end_is_ended(where: str) -> None:
    began = time.monotonic()
    with pytest.raises(bounded.TooMuchError):
        bounded.run(["sh", "-c", f"exec yes >&{where}"], limit=1 << 20, deadline_s=60)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("program", ["exec sleep 60", "exec >&- 2>&-; exec sleep 60"])
def test_one_that_says_nothing_is_ended(program: str) -> None:
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        bounded.run(["sh", "-c", program], limit=10, deadline_s=0.3)
    assert time.monotonic() - began < 30
