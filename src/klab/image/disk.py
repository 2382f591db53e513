# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of an image: an ext4 file system without a partition table, sparse.

It is written by the build root's mke2fs from a tar stream, so that owners, file
times and the order of everything are ours, with or without root.
"""

from __future__ import annotations

import shlex
import uuid
from pathlib import Path

from klab import run
from klab.image import tree as trees
from klab.kernel import root
from klab.paths import log_dir

NAME = "disk.raw"
LABEL = "klab"
_SPACE = uuid.UUID("2f7c2f0e-6d0a-5b52-9d6c-9a4a6c7c2a10")  # of our file systems' ids


def mkfs_options(digest: str) -> list[str]:
    """The options of mke2fs for an image: the same bytes each time, nothing left for the first boot."""
    fs_id, seed = (str(uuid.uuid5(_SPACE, f"{what} {digest}")) for what in ("fs", "hash"))
    # assume_storage_prezeroed: a sparse file reads as zeros, so inode tables and journal
    # count as initialised; otherwise the first mount writes them into each machine's overlay.
    extended = f"hash_seed={seed},assume_storage_prezeroed=1,nodiscard,root_owner=0:0"
    return [
        "-q",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-m",
        "0",
        "-J",
        "size=32",
        "-L",
        LABEL,
        "-U",
        fs_id,
        "-E",
        extended,
    ]


def script(digest: str, epoch: int, size_gib: int) -> str:
    """What runs inside the build root: the tree, sorted and dated, into a file system."""
    tar = shlex.join(["tar", "-C", "/tmp/tree", *trees.tar_options(epoch), "-cf", "-", "."])  # noqa: S108 - a path inside the build root
    mkfs = shlex.join(["mke2fs", *mkfs_options(digest), "-d", "-", f"/tmp/out/{NAME}", f"{size_gib}G"])  # noqa: S108 - a path inside the build root
    return f"set -o pipefail; rm -f /tmp/out/{NAME}; export SOURCE_DATE_EPOCH={epoch}; {tar} | {mkfs}"


def seal(tree: Path, folder: Path, digest: str, epoch: int, size_gib: int) -> run.Result:
    """Write `folder`/disk.raw from the tree, with a virtual size in GiB.

    Raises KlabError with the log, for one when the disk of the host or the image is full.
    """
    tools = root.ready().with_binds({"/tmp/tree": tree, "/tmp/out": folder})  # noqa: S108 - a path inside the build root
    used = run.logged(
        tools.argv(["/bin/bash", "-euc", script(digest, epoch, size_gib)]),
        log=log_dir() / "image-seal.log",
        step="image: seal",
        mend="free some disk space, or raise image_size_gib if the file system is too small",
        env=tools.env(),
    )
    (folder / NAME).chmod(0o444)
    return used


def allocated(path: Path) -> int:
    """The bytes that a sparse file really takes."""
    return path.stat().st_blocks * 512
