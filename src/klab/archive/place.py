# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the archive lies and what it holds.

    <state>/archive/
        gnupg/               the signing key, for its owner alone
        items/<digest>/      what was published: packages or a disk, manifest, item.json
        editions/<digest>/   the tree that is served, made of the items
        www                  a link to the present edition
        work/                drafts; whatever lies here was cut off

Items are the truth, an edition follows from them and the key. Both appear whole or not
at all, by one rename.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from klab import lock
from klab.errors import KlabError
from klab.paths import state_dir

SUITE, COMPONENT = "klab", "main"
RECORD = "item.json"


def folder() -> Path:
    """The archive's own folder."""
    return state_dir() / "archive"


def items_dir() -> Path:
    """One folder for each published artefact."""
    return folder() / "items"


def work_dir() -> Path:
    """Drafts."""
    return folder() / "work"


def www() -> Path:
    """What is served."""
    return folder() / "www"


@contextmanager
def locked() -> Iterator[None]:
    """Be the only run that changes the archive."""
    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock.held(folder() / "lock", "the archive"):
        yield


@dataclass(frozen=True)
class Package:
    """A Debian package of an item; size in bytes."""

    name: str
    version: str
    file: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Item:
    """A published artefact. published: epoch seconds; packages: none for an image."""

    kind: str
    digest: str
    flavour: str
    release: str
    published: int
    packages: tuple[Package, ...] = ()

    @property
    def path(self) -> Path:
        """The item's folder."""
        return items_dir() / self.digest

    def save(self, draft: Path) -> None:
        """Write the record into the draft of the item's folder."""
        (draft / RECORD).write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")


def _read(record: Path) -> Item:
    try:
        data = json.loads(record.read_text())
        packages = tuple(Package(**package) for package in data.pop("packages"))
        return Item(packages=packages, **data)
    except (ValueError, KeyError, TypeError) as error:
        raise KlabError(
            f"the archive's record of {record.parent.name[:12]} cannot be read: {error}",
            step="archive: read",
            log=record,
            mend=f"remove {record.parent} and publish that artefact again",
        ) from None


def items() -> list[Item]:
    """All that is published, newest first. Raises KlabError for a record that is damaged."""
    found = [_read(record) for record in items_dir().glob(f"*/{RECORD}")]
    return sorted(found, key=lambda item: (item.published, item.digest), reverse=True)
