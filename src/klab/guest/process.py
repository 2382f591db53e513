# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's QEMU: started in a folder of its own, and gone with us, however we go."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from klab.errors import KlabError
from klab.run import TIED


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
