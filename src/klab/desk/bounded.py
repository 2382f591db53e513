# SPDX-License-Identifier: GPL-3.0-or-later
"""A program whose output somebody else decides over, as a student with root does: never more than a limit."""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Sequence

BLOCK = 1 << 16  # bytes read at a time


class TooMuchError(Exception):
    """The program wrote more than it may."""


def run(
    argv: Sequence[str], *, limit: int, deadline_s: float, send: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a program. limit: bytes of what it may write to either stream. deadline_s: seconds.

    Raises TooMuchError, subprocess.TimeoutExpired, and OSError when there is no such program.
    """
    until = time.monotonic() + deadline_s
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile() as given, selectors.DefaultSelector() as selector:
        given.write(send)
        given.seek(0)
        with subprocess.Popen(argv, stdin=given, stdout=pipe, stderr=pipe) as process:
            said = {stream: bytearray() for stream in (process.stdout, process.stderr) if stream}
            for stream in said:
                selector.register(stream, selectors.EVENT_READ)
            try:
                while selector.get_map():
                    if time.monotonic() > until:
                        raise subprocess.TimeoutExpired(argv, deadline_s)
                    for key, _ in selector.select(until - time.monotonic()):
                        chunk = os.read(key.fd, BLOCK)
                        kept = said[key.fileobj]  # type: ignore[index] # what was registered
                        kept += chunk
                        if not chunk:
                            selector.unregister(key.fileobj)
                        if len(kept) > limit:
                            raise TooMuchError
                code = process.wait(max(0.0, until - time.monotonic()))
            except BaseException:
                process.kill()
                raise
            return subprocess.CompletedProcess(argv, code, *map(bytes, said.values()))
