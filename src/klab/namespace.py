# SPDX-License-Identifier: GPL-3.0-or-later
"""Root folders without root: entering, making and removing trees of files.

An unprivileged user's trees belong to the sub-ids of /etc/subuid, so they can be
looked into and removed only from a user namespace; root needs none of that.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from klab.errors import KlabError
from klab.paths import data_file

CHROOT = data_file("klab-chroot")


def is_root() -> bool:
    """Whether this process needs no user namespace."""
    return os.geteuid() == 0


def wrap(argv: Sequence[str | Path], *, mounts: bool = False) -> list[str]:
    """`argv` run with the ids that own our trees (as it is for root).

    mounts: it also mounts things, /proc among them, and starts daemons of its own: it
    gets namespaces for both, so that all of that ends with it.
    """
    words = [str(word) for word in argv]
    ids = [] if is_root() else ["--map-root-user", "--map-auto"]
    more = ["--mount", "--pid", "--fork", "--kill-child"] if mounts else []
    return ["unshare", *ids, *more, "--", *words] if ids or more else words


def chroot(root: Path, argv: Sequence[str | Path]) -> list[str]:
    """The command line that runs `argv` inside the root folder `root`."""
    return [str(CHROOT), str(root), *(str(word) for word in argv)]


def binds(pairs: Mapping[str, Path]) -> dict[str, str]:
    """The environment that shows host folders inside: {"/inside": host path}."""
    for path in pairs.values():
        if " " in str(path) or ":" in str(path):
            raise KlabError(
                f"the path {path} holds a blank or a colon",
                step="enter a root folder",
                mend="set KLAB_CACHE and KLAB_STATE to a path without them",
            )
    return {"KLAB_BIND": " ".join(f"{host}:{inside}" for inside, host in pairs.items())}


def mounts_below(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> list[str]:
    """What is mounted at or below `path` as this process sees it, deepest first."""
    top = str(path.resolve())
    points = [
        line.split()[4].encode().decode("unicode_escape") for line in mountinfo.read_text().splitlines()
    ]
    return sorted((p for p in points if p == top or p.startswith(f"{top}/")), key=len, reverse=True)


def remove(path: Path) -> None:
    """Remove a tree whoever owns its files; nothing there is fine.

    Raises KlabError when something is mounted below (it may be the host's own /dev: it is
    not touched) or when something is left.
    """
    if path.is_symlink() or path.is_file():
        path.unlink()
    if not path.exists():
        return
    if mounted := mounts_below(path):
        raise KlabError(
            f"{path} is not removed: {len(mounted)} file systems are mounted in it",
            step="clean up",
            mend="\n".join(f"umount {point}" for point in mounted),
        )
    # Nor is one entered that this process does not see. What is the user's own needs no namespace, for
    # which a hypervisor may lack the means.
    words = ["rm", "-rf", "--one-file-system", "--", str(path)]
    said = ""
    for argv in (words, wrap(words)):
        if path.exists():
            said = subprocess.run(argv, capture_output=True, text=True, check=False).stderr
    if path.exists():
        raise KlabError(
            f"cannot remove {path}: {said.strip()[-500:]}",
            step="clean up",
            mend="look for mounts below it (findmnt) and remove it by hand",
        )
