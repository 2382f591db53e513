# SPDX-License-Identifier: GPL-3.0-or-later
"""The content-addressed cache: entries appear whole or not at all.

An entry is a folder `<cache>/<kind>/<digest>` with a `manifest.json`. It is made
in `<cache>/work`, and one rename publishes it, so that a run cut off at any point
leaves no half entry behind. Every use compares the files with the manifest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klab import digest as digests
from klab import lock, namespace
from klab.paths import cache_dir

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """A published artefact: its kind, digest, folder and manifest."""

    kind: str
    digest: str
    path: Path
    manifest: dict[str, Any]

    def file(self, name: str) -> Path:
        """The path of one of the entry's files."""
        return self.path / name


def _stamp(path: Path) -> dict[str, Any]:
    info = path.stat()
    return {"size": info.st_size, "mtime_ns": info.st_mtime_ns}


def _damage(path: Path, files: dict[str, Any], *, thorough: bool) -> str:
    """What is wrong with an entry's files; empty when nothing is.

    Size and mtime are compared first; unless `thorough`, only a file whose stamp moved
    is hashed.
    """
    for name, wanted in files.items():
        target = path / name
        if not target.is_file():
            return f"{name} is missing"
        seen = _stamp(target)
        if seen["size"] != wanted["size"]:
            return f"{name} has {seen['size']} bytes, not {wanted['size']}"
        suspect = thorough or seen["mtime_ns"] != wanted["mtime_ns"]
        if suspect and digests.of_file(target) != wanted["sha256"]:
            return f"{name} has other content than when it was stored"
    return ""


def damage_log() -> Path:
    """Where it is noted which entries were moved aside, and why."""
    return cache_dir() / "damaged.log"


def find(kind: str, digest: str, *, thorough: bool = False) -> Entry | None:
    """The entry, or None when there is none that is whole.

    thorough: each file is hashed, also where its size and date are as they were.

    A damaged entry is moved aside (never used, never silently deleted), so that
    the caller builds it anew.
    """
    path = cache_dir() / kind / digest
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        damage = _damage(path, manifest["files"], thorough=thorough)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        damage = f"{MANIFEST} cannot be read"
    if not damage:
        return Entry(kind, digest, path, manifest)
    aside = path.with_name(f"{digest}.damaged-{os.getpid()}")
    path.rename(aside)
    with damage_log().open("a") as stream:
        stream.write(f"{aside}: {damage}\n")
    return None


@dataclass(frozen=True)
class Draft:
    """An entry under construction; `publish` makes it visible."""

    kind: str
    digest: str
    path: Path

    def publish(self, manifest: dict[str, Any], files: list[str]) -> Entry:
        """Record the named files and rename the folder to its final place."""
        stamps = {}
        for name in sorted(files):
            target = self.path / name
            target.chmod(target.stat().st_mode & ~0o222)
            stamps[name] = _stamp(target) | {"sha256": digests.of_file(target)}
        whole = {"kind": self.kind, "digest": self.digest, **manifest, "files": stamps}
        (self.path / MANIFEST).write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n")
        final = cache_dir() / self.kind / self.digest
        final.parent.mkdir(parents=True, exist_ok=True)
        self.path.rename(final)
        return Entry(self.kind, self.digest, final, whole)


@contextmanager
def drafting(kind: str, digest: str, *, keep: bool = False, wait: bool = False) -> Iterator[Draft]:
    """Lock the digest and yield a draft folder for it.

    keep: leave the folder when the block fails, so that the next run goes on
    where this one stood (a kernel build); otherwise it starts empty each time.
    wait: for entries that take seconds: wait for a run that builds the same one, and look
    again. Raises KlabError when another run builds the same entry and there is no waiting.
    """
    work = cache_dir() / "work" / f"{kind}-{digest}"
    with lock.held(cache_dir() / "locks" / f"{kind}-{digest}", f"{kind} {digests.short(digest)}", wait=wait):
        if not keep and work.exists():
            namespace.remove(work)
        work.mkdir(parents=True, exist_ok=True)
        yield Draft(kind, digest, work)
        if not keep and work.exists():
            namespace.remove(work)


def entries(kind: str) -> list[Entry]:
    """All whole entries of a kind, newest first."""
    found = []
    for manifest in (cache_dir() / kind).glob(f"*/{MANIFEST}"):
        if ".damaged-" not in manifest.parent.name and (e := find(kind, manifest.parent.name)):
            found.append(e)
    return sorted(found, key=lambda e: (e.path / MANIFEST).stat().st_mtime, reverse=True)
