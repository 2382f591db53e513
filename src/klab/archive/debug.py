# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel's debug symbols as a package: vmlinux and gdb's helpers, where debuggers look.

The kernel's own debug package holds every module's symbols too and takes minutes and
gigabytes; this one is made of what the artefact has, and twice the same byte for byte.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

from klab import namespace, run, store
from klab.kernel import artefact, symbols
from klab.kernel.root import Toolroot
from klab.paths import data_file, log_dir

MENDS = data_file("gdb-mends.py")
PACK = "/klab/pack"  # the draft's folder as the tools see it
CONTROL = """\
Package: {name}
Version: {version}
Architecture: amd64
Maintainer: klab <klab@localhost>
Installed-Size: {kib}
Section: debug
Priority: optional
Description: Debug symbols of the Linux kernel {release}
 vmlinux and the kernel's helper scripts for gdb, where gdb, crash and drgn look for them.
"""


def date_of(package: Path) -> int:
    """When a package says it was made (epoch seconds): its first member's date, see deb(5)."""
    with package.open("rb") as stream:
        header = stream.read(8 + 60)
    return int(header[8 + 16 : 8 + 28])


def helpers(entry: store.Entry, place: Path) -> None:
    """The kernel's scripts for gdb laid into a folder, with what they need beside."""
    with tarfile.open(entry.file(artefact.GDB_SCRIPTS)) as scripts:
        scripts.extractall(place, filter="data")
    with (place / "vmlinux-gdb.py").open("a") as loaded:
        loaded.write(f"\n{MENDS.read_text()}")


def _lay_out(entry: store.Entry, tree: Path, release: str, name: str, version: str) -> None:
    """The package's files and control data below `tree`."""
    place = tree / "usr/lib/debug/lib/modules" / release
    place.mkdir(parents=True)
    shutil.copyfile(symbols.ensure(entry), place / symbols.NAME)
    helpers(entry, place)
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    (tree / "DEBIAN").mkdir()
    text = CONTROL.format(name=name, version=version, release=release, kib=-(-size // 1024))
    (tree / "DEBIAN/control").write_text(text)


def pack(entry: store.Entry, image: Path, tools: Toolroot, draft: Path) -> Path | None:
    """Make the package in `draft`, named, numbered and dated as the artefact's image package.

    None when the artefact has no vmlinux (a kernel that Debian built). Raises KlabError
    with dpkg-deb's log.
    """
    if "vmlinux" not in entry.manifest["files"]:
        return None
    release = str(entry.manifest["release"])
    version = image.name.split("_")[1]
    name = f"linux-image-{release}-dbg"
    tree = draft / "tree"
    _lay_out(entry, tree, release, name, version)
    date = date_of(image)
    for path in [tree, *tree.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (date, date))
    bound = tools.with_binds({PACK: draft})
    target = draft / f"{name}_{version}_amd64.deb"
    inside = bound.inside(PACK)
    # One thread: what zstd writes depends on whether there are several. Level 3 takes two
    # seconds and not a minute, for a fifth more bytes.
    options = ["--root-owner-group", "-Zzstd", "-z3", "--threads-max=1"]
    run.logged(
        bound.argv(["dpkg-deb", *options, "--build", f"{inside}/tree", f"{inside}/{target.name}"]),
        log=log_dir() / "archive_debug.log",
        step=f"archive: pack the debug symbols of {release}",
        env=bound.env({"SOURCE_DATE_EPOCH": str(date)}),
    )
    namespace.remove(tree)
    return target
