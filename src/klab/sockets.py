# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder with a short name: a UNIX socket's path has at most 107 bytes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from klab.errors import KlabError


def folder() -> Path:
    """A folder for sockets that nobody else can enter. Raises KlabError when somebody else has made it."""
    place = Path(tempfile.gettempdir()) / f"klab-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    info = place.stat(follow_symlinks=False)
    if info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise KlabError(
            f"{place} belongs to someone else or is open to others",
            step="sockets",
            mend=f"remove {place}, or set TMPDIR to a folder of your own",
        )
    return place
