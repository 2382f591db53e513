# SPDX-License-Identifier: GPL-3.0-or-later
"""What klab is on a hypervisor: its code, the libraries that it wants there, and the labs to be given out.

All of it does with Python alone, of any version from 3.11 on: no pip, no compiler, no network. No
grader and no solution is among it; work is checked on the teacher's computer.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from klab import catalogue, libraries
from klab.paths import BROUGHT, repo_dir

LIBRARIES = ("click", "jinja2", "markupsafe", "kconfiglib", "qemu.qmp", "yaml")
CODE, LIBS = "src", "lib"  # folders in it, from which Python imports
ANSWERS = ("solution.patch", "wrong", "grader", "test_*.py", "solve.yml")


@dataclass(frozen=True)
class Pack:
    """An archive (.tar.gz). digest: of its bytes."""

    data: bytes
    digest: str


def _below(top: Path, left_out: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for path in sorted(top.rglob("*")):
        parts = path.relative_to(top).parts
        if path.is_file() and not any(Path(part).match(sign) for part in parts for sign in left_out):
            yield str(path.relative_to(top.parent)), path


def files() -> Iterator[tuple[str, Path]]:
    """All that is in it: the name there, and the file here."""
    for name, path in _below(repo_dir() / "src/klab", ("__pycache__",)):
        yield f"{CODE}/{name}", path
    yield from _below(repo_dir() / "labs", ("__pycache__", *ANSWERS))
    for library in LIBRARIES:
        for name, path in libraries.files(library):
            yield f"{LIBS}/{name}", path


def make() -> Pack:
    """The archive of this checkout, half a second. Raises KlabError when its catalogue is not valid."""
    catalogue.load()  # there it is believed
    packed = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", 6, packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as tar,
    ):
        tar.addfile(tarfile.TarInfo(BROUGHT))
        for name, path in files():
            member, content = tarfile.TarInfo(name), path.read_bytes()
            member.size, member.mode = len(content), 0o755 if path.stat().st_mode & 0o100 else 0o644
            tar.addfile(member, io.BytesIO(content))
    data = packed.getvalue()
    return Pack(data, hashlib.sha256(data).hexdigest())
