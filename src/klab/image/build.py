# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of an image: base, keep and seal, each safe to cut off and to repeat."""

from __future__ import annotations

import time
from typing import Any

from klab import namespace, store
from klab.errors import KlabError
from klab.image import claim, disk
from klab.image import tree as trees
from klab.image.plan import BASE, IMAGES, ROOTFS, Plan
from klab.progress import remember

TAR = "root.tar"


def _rebuild(plan: Plan) -> str:
    """The command that makes this image again."""
    sets = ",".join(f'"{name}"' for name in plan.sets)
    return (
        "ansible-playbook playbooks/image_build.yml "
        f"-e kernel_build_flavour={plan.flavour} -e '{{\"image_toolchain_sets\": [{sets}]}}'"
    )


def base(plan: Plan) -> bool:
    """Make the bare tree; whether it was made now."""
    with claim.held(plan.rootfs_tree):
        used = trees.bootstrap(plan.rootfs_tree, plan.suite, sorted(BASE))
    if used is None:
        return False
    remember("image base", plan.suite, used.wall_s, used.cpu_s)
    return True


def keep(plan: Plan) -> None:
    """Publish the provisioned tree as a tar, then go on with it under the image's digest.

    Raises KlabError when there is neither a kept nor a provisioned tree.
    """
    with claim.held(plan.tree):
        rootfs = plan.rootfs() or _keep_rootfs(plan)
        if plan.tree.exists():
            namespace.remove(plan.rootfs_tree.parent)
        elif plan.rootfs_tree.exists():
            trees.move(plan.rootfs_tree, plan.tree)
        else:
            trees.unpack(rootfs.file(TAR), plan.tree)


def _keep_rootfs(plan: Plan) -> store.Entry:
    """Publish the provisioned tree."""
    with claim.held(plan.rootfs_tree):
        if not plan.rootfs_tree.exists():
            raise KlabError("there is no tree to keep", step="image: keep", mend="klab image base")
        started = time.monotonic()
        epoch = trees.epoch_of(plan.rootfs_tree)
        trees.clean(plan.rootfs_tree, epoch)
        packages = trees.packages(plan.rootfs_tree)
        with store.drafting(ROOTFS, plan.rootfs_digest) as draft:
            trees.pack(plan.rootfs_tree, draft.path / TAR, epoch)
            return draft.publish(
                {
                    "suite": plan.suite,
                    "sets": list(plan.sets),
                    "inputs": dict(plan.inputs),
                    "epoch": epoch,
                    "packages": packages,
                    "wall_s": round(time.monotonic() - started, 1),
                    "rebuild": _rebuild(plan),
                },
                [TAR],
            )


def seal(plan: Plan) -> store.Entry:
    """Publish the disk of the tree with its kernel; the tree is taken away.

    Raises KlabError when the tree is missing or does not hold the kernel.
    """
    release = plan.kernel.manifest["release"]
    if not plan.tree.exists():
        raise KlabError("there is no tree to seal", step="image: seal", mend="klab image keep")
    if trees.kernel_of(plan.tree, release) != plan.kernel.digest:
        raise KlabError(
            f"the tree {plan.tree} does not hold the kernel {release} of this plan",
            step="image: seal",
            mend=f"run role kernel_install on it: {_rebuild(plan)}",
        )
    rootfs = plan.rootfs()
    if rootfs is None:
        raise KlabError("the tree's first stage is gone", step="image: seal", mend="klab image keep")
    # The packages' date, not the kernel's: what the first stage dated stays as it is.
    epoch = int(rootfs.manifest["epoch"])
    started = time.monotonic()
    with claim.held(plan.tree), store.drafting(IMAGES, plan.digest) as draft:
        trees.clean(plan.tree, epoch)
        packages = trees.packages(plan.tree)
        used = disk.seal(plan.tree, draft.path, plan.digest, epoch, plan.size_gib)
        allocated = disk.allocated(draft.path / disk.NAME)
        entry = draft.publish(
            {
                "suite": plan.suite,
                "sets": list(plan.sets),
                "inputs": dict(plan.inputs),
                "rootfs": plan.rootfs_digest,
                "kernel": plan.kernel.digest,
                "flavour": plan.flavour,
                "release": release,
                "size_gib": plan.size_gib,
                "allocated": allocated,
                "epoch": epoch,
                "packages": packages,
                "wall_s": round(time.monotonic() - started, 1),
                "cpu_s": used.cpu_s,
                "rebuild": _rebuild(plan),
            },
            [disk.NAME],
        )
    namespace.remove(plan.tree.parent)
    remember("image seal", plan.flavour, entry.manifest["wall_s"], used.cpu_s)
    return entry


def describe(entry: store.Entry) -> dict[str, Any]:
    """The fields of an image that people and roles ask for; allocated is in bytes."""
    fields = ("suite", "sets", "flavour", "release", "kernel", "rootfs", "size_gib", "allocated", "rebuild")
    return {"digest": entry.digest, "disk": str(entry.file(disk.NAME))} | {
        name: entry.manifest[name] for name in fields
    }
