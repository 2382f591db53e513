# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run still has to make, and so what it needs of this host.

Disk and network are asked for only as far as the cache does not hold the result.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from klab import store
from klab.errors import KlabError
from klab.kernel import artefact, root, source
from klab.kernel import flavour as flavours
from klab.machine import model
from klab.paths import cache_dir, state_dir

GIB = 1 << 30
STAGES = ("kernel", "image", "machine")
# Measured peaks, with room to spare: GiB of disk that a missing part takes while made.
ROOT_GIB, SOURCE_GIB, FETCHED_GIB, KERNEL_GIB, IMAGE_GIB, MACHINE_GIB = 1.0, 2.0, 1.0, 7.0, 9.0, 1.5
# MiB of memory: pahole on vmlinux beside one compiler per CPU; a package run in a tree.
KERNEL_MIB, IMAGE_MIB = 3072, 1024
MACHINE_SPARE_MIB = 512  # QEMU itself and its translated code


@dataclass
class Needs:
    """What must be made, and what that takes: {folder: GiB}, MiB of memory, a network."""

    make: list[str] = field(default_factory=list)
    disk_gib: dict[Path, float] = field(default_factory=dict)
    memory_mib: int = 0
    network: bool = False

    def add(self, what: str, folder: Path, gib: float, mib: int, *, network: bool) -> None:
        """One more thing to make; things are made one after the other."""
        self.make.append(what)
        self.disk_gib[folder] = self.disk_gib.get(folder, 0.0) + gib
        self.memory_mib = max(self.memory_mib, mib)
        self.network = self.network or network


def of(stages: tuple[str, ...], flavour: str, machine: str, memory: int) -> Needs:
    """What a run of `stages` needs. Raises KlabError for a flavour that is not valid."""
    needs = Needs()
    wanted = flavours.load(flavour)
    kernel = artefact.find(flavour)
    building = "kernel" in stages and kernel is None
    roots = {root.GCC} if "image" in stages else set()
    for toolchain in sorted(roots | {wanted.toolchain} if "kernel" in stages else roots):
        if root.current(toolchain) is None:
            needs.add(f"build root {toolchain}", cache_dir(), ROOT_GIB, 512, network=True)
    if building and isinstance(wanted, flavours.Fetched):
        needs.add(f"kernel {flavour}", cache_dir(), FETCHED_GIB, 512, network=True)
    elif building and isinstance(wanted, flavours.Built):
        if source.find(wanted.source) is None:
            needs.add(f"source {wanted.source.id}", cache_dir(), SOURCE_GIB, 512, network=True)
        needs.add(f"kernel {flavour}", cache_dir(), KERNEL_GIB, KERNEL_MIB, network=False)
    if "image" in stages and not _image_of(kernel):
        needs.add("image", cache_dir(), IMAGE_GIB, IMAGE_MIB, network=True)
    known = _machine(machine) if "machine" in stages else None
    if "machine" in stages and known is None:
        needs.add(f"machine {machine}", state_dir(), MACHINE_GIB, memory + MACHINE_SPARE_MIB, network=False)
    return needs


def _image_of(kernel: store.Entry | None) -> bool:
    """Whether an image with this kernel is there. Which one fits exactly the image stage
    knows; when it builds anew after all, it fails for want of disk as early."""
    if kernel is None:
        return False
    return any(entry.manifest.get("kernel") == kernel.digest for entry in store.entries("images"))


def _machine(name: str) -> model.Machine | None:
    try:
        return model.find(name)
    except KlabError:
        return None  # its record is broken: it is made anew


def existing(folder: Path) -> Path:
    """The folder or its nearest parent that exists: where its bytes would go."""
    while not folder.exists():
        folder = folder.parent
    return folder


def by_filesystem(disk_gib: dict[Path, float]) -> dict[Path, float]:
    """The same needs summed up per file system, named by one of its folders."""
    totals: dict[int, tuple[Path, float]] = {}
    for folder, gib in disk_gib.items():
        device = existing(folder).stat().st_dev
        first, sum_so_far = totals.get(device, (folder, 0.0))
        totals[device] = (first, sum_so_far + gib)
    return dict(totals.values())


def free_gib(folder: Path) -> float:
    """GiB that this user may still write where `folder` is or would be."""
    info = os.statvfs(existing(folder))
    return info.f_bavail * info.f_frsize / GIB
