# SPDX-License-Identifier: GPL-3.0-or-later
"""Artefacts that another computer has made: taken into this cache once, and only whole.

Their files are laid in a folder here, in any order, and however often that is cut off. Nothing
uses them there; each is compared with the manifest before all are published.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from klab import digest as digests
from klab import lock, namespace, store
from klab.errors import KlabError
from klab.needs import existing
from klab.paths import cache_dir

STEP = "cache: take from another computer"
KINDS = ("kernels", "images", "initramfs", "initrds")


def folder(kind: str, digest: str) -> Path:
    """Where the files of an artefact are laid, before it is adopted.

    Raises KlabError for what is no kind or no digest: it becomes a folder's name.
    """
    if kind not in KINDS:
        raise KlabError(f"'{kind}' is not taken from others", step=STEP, mend=f"one of {', '.join(KINDS)}")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise KlabError(f"'{digest}' is no digest", step=STEP, mend="give all 64 hex digits of it")
    return cache_dir() / "work" / f"incoming-{kind}-{digest}"


def laid(kind: str, digest: str) -> int:
    """Bytes on the disk that an earlier copy, which was cut off, has left in that folder."""
    return sum(path.stat().st_blocks * 512 for path in folder(kind, digest).glob("*"))


def room() -> int:
    """Bytes that this user may still write to the cache."""
    info = os.statvfs(existing(cache_dir()))
    return info.f_bavail * info.f_frsize


def _wrong(place: Path, kind: str, digest: str) -> str:
    """What is wrong with what was laid there; nothing when it may be adopted.

    A file that is another one than the manifest says is removed, so that the next copy has it anew.
    """
    try:
        manifest = json.loads((place / store.MANIFEST).read_text())
        files = dict(manifest["files"])
        named = manifest["kind"], manifest["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{store.MANIFEST} is missing or cannot be read"
    if named != (kind, digest):
        return f"its manifest is that of {named[0]} {digests.short(str(named[1]))}"
    wrong = ""
    for name, wanted in files.items():
        path = place / name
        if Path(name).name != name or path.is_symlink() or not path.is_file():
            return f"{name} is missing, or no plain file"
        if digests.of_file(path) != wanted["sha256"]:
            path.unlink()
            wrong = wrong or f"{name} is not what was stored where it comes from"
    return wrong


def adopt(kind: str, digest: str) -> store.Entry:
    """Publish what was laid in the folder of this digest, every file compared with the manifest.

    Raises KlabError when something is missing or differs; what is good stays for the next copy.
    """
    place = folder(kind, digest)
    with lock.held(cache_dir() / "locks" / place.name, f"{kind} {digests.short(digest)}"):
        if wrong := _wrong(place, kind, digest):
            raise KlabError(
                f"{kind} {digests.short(digest)} is not taken: {wrong}",
                step=STEP,
                mend="start again: it is copied anew; if it stays so, klab cache verify where it comes from",
            )
        manifest = json.loads((place / store.MANIFEST).read_text())
        files = list(manifest.pop("files"))
        with store.drafting(kind, digest) as draft:
            for name in files:
                (place / name).rename(draft.path / name)
            entry = draft.publish(manifest, files)
        namespace.remove(place)
    return entry
