# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's QEMU: started in a folder of its own, and gone with us, however we go."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from klab.errors import KlabError
from klab.run import TIED

CONNECT_S = 15.0


@contextmanager
def guest(words: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """QEMU while the block runs. Raises KlabError when it cannot be started."""
    os.mkfifo(folder / "input", 0o600)
    with (folder / "qemu.log").open("wb") as log:
        try:
            process = subprocess.Popen(
                [*TIED, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        except OSError as error:
            raise KlabError(
                f"cannot run {words[0]}: {error.strerror}", step="guest: run", mend="klab doctor"
            ) from None
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def connect(path: Path) -> socket.socket:
    """A socket that QEMU is about to make. Raises OSError when it does not come."""
    until = time.monotonic() + CONNECT_S
    while True:
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(str(path))
            return stream
        except OSError:
            stream.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
