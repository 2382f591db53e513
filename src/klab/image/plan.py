# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image is made of, and the two digests that name it.

The tree of files (rootfs) does not depend on the kernel; the disk does. So a new
kernel costs its installation and the packing, not the provisioning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from klab import digest as digests
from klab import store
from klab.errors import KlabError
from klab.kernel import artefact
from klab.paths import cache_dir, data_file, repo_dir

ROOTFS = "rootfs"
IMAGES = "images"
RECIPE = 1  # raise when tree.py or disk.py change what comes out
ROOTFS_ROLES = ("toolchain", "lab_machine")
IMAGE_ROLES = ("kernel_install",)
# What makes a tree a machine that boots, answers ssh and can be provisioned. Debian's own
# kernels ask for initramfs-tools and linux-base.
BASE = (
    "dbus",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "libnss-myhostname",
    "linux-base",
    "openssh-server",
    "python3",
    "python3-apt",
    "sudo",
    "systemd-sysv",
    "tzdata",
    "udev",
)


def _role(name: str) -> str:
    """Digest of what a role does; its metadata and README do nothing."""
    role = repo_dir() / "roles" / name
    if not role.is_dir():
        raise KlabError(f"the role {name} is missing", step="image: plan", mend=f"restore {role}")
    return digests.of_tree(role, skip=("__pycache__", "meta", "README.md"))


def inputs_of(text: str) -> dict[str, Any]:
    """Role variables given as a JSON object; they are part of the digest."""
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise KlabError(
            f"not a JSON object: {text}",
            step="image: plan",
            mend="give the role variables as one JSON object",
        )
    return data


@dataclass(frozen=True)
class Plan:
    """An image: its inputs and where its parts are or will be."""

    suite: str
    sets: tuple[str, ...]
    inputs: Mapping[str, Any]
    size_gib: int
    flavour: str
    kernel: store.Entry

    # Once and for all: an edit of a role while the image is made changes the next plan.
    @cached_property
    def rootfs_digest(self) -> str:
        """The name of the tree before a kernel is installed."""
        return digests.of_data(
            {
                "recipe": RECIPE,
                "clean": digests.of_file(data_file("image-clean.sh")),
                "suite": self.suite,
                "base": sorted(BASE),
                "sets": sorted(self.sets),
                "roles": {name: _role(name) for name in ROOTFS_ROLES},
                "inputs": dict(self.inputs),
            }
        )

    @cached_property
    def digest(self) -> str:
        """The name of the disk."""
        return digests.of_data(
            {
                "rootfs": self.rootfs_digest,
                "kernel": self.kernel.digest,
                "roles": {name: _role(name) for name in IMAGE_ROLES},
                "size_gib": self.size_gib,
            }
        )

    @property
    def rootfs_tree(self) -> Path:
        """Where the tree is provisioned."""
        return cache_dir() / "work" / f"tree-{self.rootfs_digest}" / "root"

    @property
    def tree(self) -> Path:
        """Where the kernel is installed into a tree of its own."""
        return cache_dir() / "work" / f"tree-{self.digest}" / "root"

    def rootfs(self) -> store.Entry | None:
        """The provisioned tree, if it is in the cache."""
        return store.find(ROOTFS, self.rootfs_digest)

    def image(self) -> store.Entry | None:
        """The disk, if it is in the cache."""
        return store.find(IMAGES, self.digest)


def make(suite: str, sets: Sequence[str], inputs: Mapping[str, Any], size_gib: int, flavour: str) -> Plan:
    """The plan of an image. Raises KlabError while its kernel is not built."""
    return Plan(suite, tuple(sorted(set(sets))), dict(inputs), size_gib, flavour, artefact.get(flavour))
