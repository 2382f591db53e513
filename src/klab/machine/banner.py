# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bzImage says of itself: the release and version that uname shows once it runs.

See Linux, Documentation/arch/x86/boot.rst, field kernel_version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from klab.errors import KlabError

MAGIC_AT, MAGIC = 0x202, b"HdrS"  # where, and what
POINTER_AT, BASE = 0x20E, 0x200
HEAD = 0x8000  # the real-mode part of a kernel: at most 64 sectors
# "6.12.1-x (user@host) #1 SMP …": without the part in brackets uname says the same.
_TEXT = re.compile(rb"(\S+) \([^)]*\) (#[^\0]+)\0")


@dataclass(frozen=True)
class Banner:
    """`uname -r` and `uname -v`."""

    release: str
    version: str


def read(path: Path) -> Banner:
    """The banner of a bzImage. Raises KlabError when the file is none."""
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    at = int.from_bytes(head[POINTER_AT : POINTER_AT + 2], "little") + BASE
    found = _TEXT.match(head, at) if head[MAGIC_AT:].startswith(MAGIC) else None
    if not found:
        raise KlabError(
            f"{path} is no bzImage",
            step="boot: read the kernel",
            mend="build the kernel again: klab kernel build",
        )
    release, version = (part.decode(errors="replace").strip() for part in found.groups())
    return Banner(release, version)
