# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder that a guest works on: its files go in, those that the command changed come out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from klab.errors import KlabError
from klab.guest.initramfs import DATA, FOLDER, PROGRAM

PLACE = "klab/share"
STEP = "guest: share"
LIMIT = 64 << 20  # bytes that go in; the guest holds them in memory
# Behind the command, whose exit status it keeps: what is not as it was, put among the results.
BEFORE = f"(cd /{PLACE} && find . -type f -exec sha256sum {{}} +) >/klab/before; cd /{PLACE}; "
AFTER = f"""
status=$?
cd /{PLACE} && find . -type f | while IFS= read -r file; do
  sum=$(sha256sum "$file")
  grep -qxF "$sum" /klab/before || {{ mkdir -p "/klab/out/${{file%/*}}"; cp "$file" "/klab/out/$file"; }}
done
exit $status"""


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The plain files below `folder`, as a guest gets them. Raises KlabError when they are too big."""
    found: dict[str, tuple[int, bytes]] = {PLACE: (FOLDER | 0o755, b"")}
    total = 0
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        total += path.stat().st_size
        if total > LIMIT:
            raise KlabError(
                f"{folder} holds more than {LIMIT >> 20} MiB", step=STEP, mend="share a smaller folder"
            )
        mode = PROGRAM if path.stat().st_mode & 0o100 else DATA
        found[f"{PLACE}/{path.relative_to(folder)}"] = (mode, path.read_bytes())
    return found


def script(words: str) -> str:
    """The command `words`, run in the shared folder, and then what it changed laid ready."""
    return f"{BEFORE}( {words}\n){AFTER}"


def write(folder: Path, results: Mapping[str, bytes]) -> list[str]:
    """Write changed files into `folder`, and say which.

    The guest is not trusted: a name that leads out of the folder, also by a symbolic link
    that lies in it, raises KlabError before anything is written.
    """
    home = folder.resolve()
    for name in results:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not (home / path).resolve().is_relative_to(home):
            raise KlabError(f"the guest wants to write outside of {folder}: {name}", step=STEP, mend="")
    for name, content in results.items():
        target = home / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return sorted(results)
