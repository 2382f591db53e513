# SPDX-License-Identifier: GPL-3.0-or-later
"""The initramfs of a machine whose kernel has the disk's driver as a module, as Debian's have.

Busybox, a handful of modules and an init of our own: what a distribution's initramfs does
for any computer takes an emulated one many seconds at each boot.
"""

from __future__ import annotations

from pathlib import Path

from klab import digest as digests
from klab import store
from klab.guest import initramfs, modules
from klab.kernel.dotconfig import read_config
from klab.paths import data_file

KIND, NAME = "initrds", "initrd"
RECIPE = 1  # raise when this file changes what the initramfs holds
# From power-on to the root's own init, and what systemd asks for before it reads the disk.
NEEDED = {"virtio_pci": "VIRTIO_PCI", "virtio_blk": "VIRTIO_BLK", "ext4": "EXT4_FS"}
USEFUL = ("virtio_net", "virtio_rng", "qemu_fw_cfg")


def needed(kernel: store.Entry) -> bool:
    """Whether the kernel cannot mount the machine's root by itself."""
    config = read_config(kernel.file("config").read_text())
    return any(config.get(symbol) != "y" for symbol in NEEDED.values())


def ensure(kernel: store.Entry) -> Path | None:
    """The initramfs of a kernel of the cache, made now unless it is there; None when it needs none.

    Raises KlabError when the kernel's packages cannot be unpacked.
    """
    if not needed(kernel):
        return None
    base, init = initramfs.ensure(), data_file("machine-init.sh")
    inputs = [RECIPE, kernel.digest, base.parent.name, digests.of_file(init), [*NEEDED, *USEFUL]]
    digest = digests.of_data(inputs)
    if entry := store.find(KIND, digest):
        return entry.file(NAME)
    with store.drafting(KIND, digest) as draft:
        files = modules.files(kernel, [*NEEDED, *USEFUL])
        files["init"] = (initramfs.PROGRAM, init.read_bytes())
        # A later file takes the place of an earlier one of that name.
        (draft.path / NAME).write_bytes(base.read_bytes() + initramfs.archive(files))
        facts = {"kernel": kernel.digest, "rebuild": f"klab boot {kernel.manifest['flavour']}"}
        return draft.publish(facts, [NAME]).file(NAME)
