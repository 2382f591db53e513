# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels that another host has built: taken into this cache once, and only whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

from klab import digest as digests
from klab import lock, namespace, store
from klab.errors import KlabError
from klab.kernel import cached
from klab.paths import cache_dir

STEP = "kernel_build: fetch from the builder"


def incoming(digest: str) -> Path:
    """The folder in which the files of an artefact are laid, before they are adopted.

    Raises KlabError for something that is no digest: it becomes a folder's name.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise KlabError(f"'{digest}' is no digest", step=STEP, mend="give all 64 hex digits of it")
    return cache_dir() / "work" / f"incoming-{digest}"


def _wrong(folder: Path, digest: str) -> str:
    """What is wrong with what was laid there; nothing when it may be adopted."""
    try:
        manifest = json.loads((folder / store.MANIFEST).read_text())
        files = dict(manifest["files"])
        named = manifest["kind"], manifest["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{store.MANIFEST} is missing or cannot be read"
    if named != (cached.KIND, digest):
        return f"its manifest is that of {named[0]} {digests.short(str(named[1]))}"
    for name, wanted in files.items():
        path = folder / name
        if Path(name).name != name or path.is_symlink() or not path.is_file():
            return f"{name} is missing, or no plain file"
        if digests.of_file(path) != wanted["sha256"]:
            return f"{name} is not what the builder stored"
    return ""


def adopt(digest: str) -> store.Entry:
    """Publish what was laid in the folder of this digest, every file compared with the manifest.

    Raises KlabError when something is missing or differs; the folder is emptied then, so
    that the next run fetches it anew.
    """
    folder = incoming(digest)
    with lock.held(cache_dir() / "locks" / folder.name, f"kernel {digests.short(digest)}"):
        if wrong := _wrong(folder, digest):
            namespace.remove(folder)
            raise KlabError(
                f"kernel {digests.short(digest)} from the builder is not taken: {wrong}",
                step=STEP,
                mend="start again: it is fetched anew; if it stays so, klab cache verify on the builder",
            )
        manifest = json.loads((folder / store.MANIFEST).read_text())
        files = list(manifest.pop("files"))
        with store.drafting(cached.KIND, digest) as draft:
            for name in files:
                (folder / name).rename(draft.path / name)
            entry = draft.publish(manifest, files)
        namespace.remove(folder)
    return entry
