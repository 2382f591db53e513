# SPDX-License-Identifier: GPL-3.0-or-later
"""Publish artefacts, and make the tree that is served follow from what is published.

The caller holds the archive's lock. Cut off anywhere, the old edition is served and the
next call goes on.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from klab import digest as digests
from klab import namespace, store
from klab.archive import debug, index, keys, place
from klab.errors import KlabError
from klab.kernel import cached
from klab.kernel.root import Toolroot
from klab.machine.disk import adopt

RECIPE = 1  # raise when an edition's tree is laid out otherwise
IMAGES = "images"


def image(digest: str) -> store.Entry:
    """An image in the cache, by its digest or the digest's first digits. Raises KlabError."""
    found = [entry for entry in store.entries(IMAGES) if entry.digest.startswith(digest)]
    if len(found) != 1:
        raise KlabError(
            f"{len(found) or 'no'} images in the cache have a digest that begins with {digest}",
            step="archive: find the image",
            mend="klab image list shows the digests",
        )
    return found[0]


def _package(path: Path) -> place.Package:
    """A package, whose file name tells its name and version."""
    name, version, _ = path.stem.split("_")
    return place.Package(name, version, path.name, path.stat().st_size, digests.of_file(path))


def _whole(entry: store.Entry) -> None:
    """Raise KlabError unless a kernel's files are, hashed anew, what was stored."""
    if entry.kind == cached.KIND and store.find(entry.kind, entry.digest, thorough=True) is None:
        flavour = entry.manifest["flavour"]
        raise KlabError(
            f"the kernel of flavour '{flavour}' was damaged in the cache; it has been moved aside",
            step="archive: verify the artefact",
            log=store.damage_log(),
            mend=f"klab kernel build --flavour {flavour}",
        )


def take(entry: store.Entry, tools: Toolroot) -> place.Item:
    """Make an artefact an item of the archive; its debug symbols become a package.

    Raises KlabError for a kernel that is damaged in the cache.
    """
    _whole(entry)
    draft = place.work_dir() / entry.digest
    namespace.remove(draft)
    draft.mkdir(parents=True)
    for name in sorted(entry.manifest["files"]):
        if name.endswith(".deb"):
            shutil.copyfile(entry.file(name), draft / name)
        elif entry.kind == IMAGES:
            adopt(entry.file(name), draft / name)
    shutil.copyfile(entry.file(store.MANIFEST), draft / store.MANIFEST)
    release = str(entry.manifest.get("release", ""))
    for path in sorted(draft.glob(f"linux-image-{release}_*.deb")):
        debug.pack(entry, path, tools, draft)
    item = place.Item(
        kind=entry.kind,
        digest=entry.digest,
        flavour=str(entry.manifest.get("flavour", "")),
        release=release,
        published=int(time.time()),
        packages=tuple(map(_package, sorted(draft.glob("*.deb")))),
    )
    item.save(draft)
    place.items_dir().mkdir(exist_ok=True)
    if item.path.exists():
        withdraw(item)
    draft.rename(item.path)
    return item


def withdraw(item: place.Item) -> None:
    """Take an item out; the next edition is without it, whatever happens now."""
    aside = place.work_dir() / f"withdrawn-{item.digest}"
    namespace.remove(aside)
    aside.parent.mkdir(exist_ok=True)
    item.path.rename(aside)
    namespace.remove(aside)


def wanted(held: Iterable[place.Item]) -> str:
    """The digest of the edition that the items and the key make up."""
    return digests.of_data([RECIPE, keys.public_key(), sorted(item.digest for item in held)])


def present() -> str:
    """The digest of the edition that is served; empty when there is none."""
    with suppress(OSError):
        return place.www().readlink().name if place.www().exists() else ""
    return ""


def complete() -> bool:
    """Whether the edition that is served is the one that follows from the items."""
    return bool(present()) and present() == wanted(place.items())


def _lay_out(www: Path, held: list[place.Item]) -> None:
    """What is served beside the packages: manifests, disks, a list of all, the key, the sums."""
    sums = {}
    for item in held:
        below = www / item.kind / item.digest
        below.mkdir(parents=True)
        manifest = json.loads((item.path / store.MANIFEST).read_text())
        served = [store.MANIFEST, *(manifest["files"] if item.kind == IMAGES else ())]
        for name in served:
            adopt(item.path / name, below / name)
            sums[f"{item.kind}/{item.digest}/{name}"] = manifest["files"].get(name, {}).get("sha256", "")
    listed = {"suite": place.SUITE, "items": [asdict(item) for item in held]}
    (www / "index.json").write_text(json.dumps(listed, indent=2, sort_keys=True) + "\n")
    (www / keys.PUBLIC).write_text(keys.public_key())
    sums["index.json"] = ""
    lines = [f"{known or digests.of_file(www / name)}  {name}\n" for name, known in sorted(sums.items())]
    (www / index.SUMS).write_text("".join(lines))


def damaged() -> list[str]:
    """The files of the present edition that are not as its SHA256SUMS says."""
    sums = place.www() / index.SUMS
    lines = sums.read_text().splitlines() if sums.exists() else []
    pairs = [line.split("  ", 1) for line in lines]
    return [name for known, name in pairs if not _is(place.www() / name, known)]


def _is(path: Path, known: str) -> bool:
    return path.is_file() and digests.of_file(path) == known


def refresh(tools: Toolroot, key: str, *, again: bool = False) -> bool:
    """Serve the edition that follows from the items, unless it is served already.

    again: make it anew even so, because it is damaged.
    """
    if complete() and not again:
        return False
    held = place.items()
    name = wanted(held)
    draft = place.work_dir() / "edition"
    namespace.remove(draft)
    (draft / "www").mkdir(parents=True)
    _lay_out(draft / "www", held)
    index.build(draft, held, tools, key)
    editions = place.folder() / "editions"
    editions.mkdir(exist_ok=True)
    namespace.remove(editions / name)
    (draft / "www").rename(editions / name)
    link = place.work_dir() / "www"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("editions") / name)
    link.replace(place.www())
    for old in editions.iterdir():
        if old.name != name:
            namespace.remove(old)
    namespace.remove(place.work_dir())
    return True
