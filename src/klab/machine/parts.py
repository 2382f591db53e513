# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is made of: a kernel and an image, from the cache or from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from klab import digest as digests
from klab import store
from klab.accel import Verdict
from klab.errors import KlabError
from klab.machine import disk
from klab.machine import initrd as initrds
from klab.machine.model import QEMU
from klab.machine.ports import LOOPBACK


@dataclass(frozen=True)
class Kernel:
    """A bootable kernel. initrd: a loose kernel's; for one of the cache it is made where need be."""

    path: Path
    digest: str
    release: str = ""
    cmdline: str = ""
    flavour: str = ""
    initrd: Path | None = None
    entry: store.Entry | None = None

    def adopt(self, folder: Path) -> None:
        """Put its files into a machine's folder, where they outlive the cache."""
        folder.mkdir(parents=True, exist_ok=True)
        disk.adopt(self.path, folder / "bzImage")
        made = initrds.ensure(self.entry) if self.entry and not self.initrd else self.initrd
        if made:
            disk.adopt(made, folder / "initrd")

    def facts(self) -> dict[str, str]:
        """What the machine's record keeps of it."""
        return {
            "digest": self.digest,
            "release": self.release,
            "cmdline": self.cmdline,
            "flavour": self.flavour,
        }


@dataclass(frozen=True)
class Image:
    """A base disk, raw and read-only."""

    path: Path
    digest: str

    def facts(self) -> dict[str, str]:
        """What the machine's record keeps of it."""
        return {"digest": self.digest}


@dataclass(frozen=True)
class Wanted:
    """A machine as it is asked for. Memory in MiB; ssh_port 0: the first free one from port_base."""

    kernel: Kernel
    image: Image
    verdict: Verdict
    memory: int = 2048
    cpus: int = 2
    ssh_port: int = 0
    port_base: int = 2222
    gdb_base: int = 1234


@dataclass(frozen=True)
class Seat:
    """What a machine is besides what its template is.

    ssh_port 0: the first free one from port_base. authorized: public keys that log in.
    host_key: the file with its ssh host key, and .pub beside it; None: one is made.
    provider, uri, listen: as its record has them.
    """

    authorized: tuple[str, ...] = ()
    host_key: Path | None = None
    internet: bool = True
    listen: str = LOOPBACK
    ssh_port: int = 0
    port_base: int = 2222
    gdb_base: int = 1234
    provider: str = QEMU
    uri: str = ""


def _stamp(path: Path) -> str:
    """A digest for a loose file; its bytes may be too many to read each time."""
    info = path.stat()
    return digests.of_data([str(path.resolve()), info.st_size, info.st_mtime_ns])


def _entry(kind: str, what: str, reference: str, mend: str) -> store.Entry:
    matches = [e for e in store.entries(kind) if e.digest.startswith(reference)]
    if len(matches) == 1:
        return matches[0]
    problem = "is not in the cache" if not matches else f"is not unique ({len(matches)} in the cache)"
    raise KlabError(f"{what} {reference} {problem}", step="vm: create", mend=mend)


def kernel(reference: str, initrd: Path | None = None, cmdline: str = "") -> Kernel:
    """The kernel of that digest (or its beginning), or a bzImage by its path.

    Raises KlabError when there is none.
    """
    path = Path(reference)
    if path.is_file():
        return Kernel(path, _stamp(path), cmdline=cmdline, initrd=initrd)
    entry = _entry("kernels", "kernel", reference, "klab kernel build")
    known = entry.manifest
    named = (known["release"], cmdline, known["flavour"])
    return Kernel(entry.file("bzImage"), entry.digest, *named, initrd, entry)


def newest_image() -> Image:
    """The image in the cache that was made last. Raises KlabError when there is none."""
    if found := store.entries("images"):
        return Image(found[0].file("disk.raw"), found[0].digest)
    raise KlabError("there is no image in the cache", step="image: find", mend="make lab")


def image(reference: str) -> Image:
    """The image of that digest (or its beginning), or a raw disk by its path.

    Raises KlabError when there is none.
    """
    path = Path(reference)
    if path.is_file():
        return Image(path, _stamp(path))
    entry = _entry("images", "image", reference, "klab image seal")
    return Image(entry.file("disk.raw"), entry.digest)
