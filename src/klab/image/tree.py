# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of an image while it is made: bootstrap, clean, pack, unpack.

A tree lies in `<cache>/work/tree-<digest>/root` and appears there whole, by a
rename. Roles change it between two verbs, so a run that was cut off goes on with it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

from klab import debtree, namespace, run
from klab.errors import KlabError
from klab.paths import data_file, log_dir

DNS = "10.0.2.3"  # the resolver of QEMU's user network
EXTRA = (
    # The roles go on with the package lists that the bootstrap fetched.
    "--skip=cleanup/apt",
    # No index of manual pages after each package: it takes long and differs each time.
    '--essential-hook=echo man-db man-db/auto-update boolean false | chroot "$1" debconf-set-selections',
    # What only a build wants, taken away by image-clean.sh.
    '--essential-hook=printf "#!/bin/sh\\nexit 101\\n" >"$1/usr/sbin/policy-rc.d"',
    '--essential-hook=chmod 755 "$1/usr/sbin/policy-rc.d"',
    '--essential-hook=echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/klab-build"',
    # Translations that nobody reads here: 100 MB.
    "--dpkgopt=path-exclude=/usr/share/locale/*/LC_MESSAGES/*.mo",
    "--dpkgopt=path-exclude=/usr/share/man/[a-ln-z]*/*",
    "--dpkgopt=path-include=/usr/share/man/man*/*",
)

_RESOLVER = f'rm -f "$1"; echo nameserver {DNS} >"$1"; chmod 644 "$1"'


def bootstrap(tree: Path, suite: str, packages: list[str]) -> run.Result | None:
    """Make the base tree; None when it stands already, then half-done packages are finished."""
    if tree.exists():
        _finish(tree)
        return None
    draft = tree.with_name("root.new")
    namespace.remove(draft)
    draft.parent.mkdir(parents=True, exist_ok=True)
    used = debtree.make(
        suite, packages, draft, log=log_dir() / "image-base.log", step="image: base", extra=EXTRA
    )
    draft.rename(tree)
    return used


def _finish(tree: Path, patience_s: float = 300) -> None:
    """Configure packages that a cut-off run left half done.

    What that run started may still be at work in the tree: it is waited for.
    Raises KlabError when the packages cannot be configured.
    """
    argv = namespace.chroot(tree, ["dpkg", "--configure", "-a", "--force-confold"])
    until = time.monotonic() + patience_s
    while True:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            return
        if "lock" not in done.stderr or time.monotonic() > until:
            raise KlabError(
                f"the half-done packages of the tree cannot be configured: {done.stderr.strip()}",
                step="image: base",
                mend=f"klab-chroot {tree} dpkg --configure -a; or remove {tree.parent}",
            )
        time.sleep(2)


def epoch_of(tree: Path) -> int:
    """When the newest package of the tree was built, in seconds since 1970."""
    stamps = [path.stat().st_mtime for path in (tree / "var/lib/dpkg/info").glob("*.md5sums")]
    if not stamps:
        raise KlabError(f"no package is installed in {tree}", step="image: clean", mend="klab image base")
    return int(max(stamps))


def clean(tree: Path, epoch: int) -> None:
    """Take away what differs from build to build; `epoch` dates what needs a date.

    Raises KlabError when the tree cannot be cleaned.
    """
    script = data_file("image-clean.sh").read_text()
    done = subprocess.run(
        namespace.chroot(tree, ["/bin/sh", "-eu", "-s", str(epoch)]),
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise KlabError(
            f"the tree cannot be cleaned: {done.stderr.strip()}",
            step="image: clean",
            mend=f"remove {tree.parent}",
        )
    # Not from inside: there the builder's resolver is mounted over the file.
    subprocess.run(
        namespace.wrap(["/bin/sh", "-euc", _RESOLVER, "sh", tree / "etc/resolv.conf"]), check=True, timeout=60
    )


def tar_options(epoch: int) -> list[str]:
    """Options that make tar write the same bytes for the same tree."""
    return [
        # Device nodes are there only when root made the tree; the kernel brings them anyway.
        *(f"--exclude=./{folder}/*" for folder in ("dev", "run", "tmp")),
        "--sort=name",
        "--format=posix",
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
        f"--mtime=@{epoch}",
        "--clamp-mtime",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
    ]


def pack(tree: Path, tar: Path, epoch: int) -> None:
    """Write the tree as a tar file. Raises KlabError, for one when the disk is full."""
    argv: list[str | Path] = ["tar", "-C", tree, *tar_options(epoch), "-cf", tar, "."]
    run.logged(
        namespace.wrap(argv),
        log=log_dir() / "image-pack.log",
        step="image: pack",
        mend="free some disk space",
    )


def unpack(tar: Path, tree: Path) -> None:
    """Make a tree of a packed one."""
    draft = tree.with_name("root.new")
    namespace.remove(draft)
    draft.mkdir(parents=True)
    argv: list[str | Path] = [
        "tar",
        "-C",
        draft,
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "-xpf",
        tar,
    ]
    run.logged(
        namespace.wrap(argv),
        log=log_dir() / "image-unpack.log",
        step="image: unpack",
        mend="free some disk space",
    )
    draft.rename(tree)


def move(tree: Path, target: Path) -> None:
    """Go on with a finished tree under another digest."""
    tree.rename(target)
    shutil.rmtree(tree.parent)


def kernel_of(tree: Path, release: str) -> str:
    """The digest of the kernel that role kernel_install put there, empty when there is none."""
    try:
        return str(json.loads((tree / f"usr/lib/klab/kernels/{release}.json").read_text())["digest"])
    except (OSError, ValueError, KeyError):
        return ""


def packages(tree: Path) -> dict[str, str]:
    """Names and versions of the tree's packages."""
    return debtree.versions(tree)
