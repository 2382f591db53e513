# SPDX-License-Identifier: GPL-3.0-or-later
"""klab image: the two stages of an image, and what is in the cache.

Between the verbs, roles provision the trees that they hand over:
base -> (toolchain, lab_machine) -> keep -> (kernel_install) -> seal.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from klab import digest as digests
from klab import namespace, store
from klab.cli.verb import Outcome, check_option, verb
from klab.image import build, plan
from klab.kernel import artefact

_OPTIONS = (
    click.option("--suite", default="trixie", show_default=True, help="Debian release of the machine."),
    click.option("--set", "sets", multiple=True, required=True, help="A set of role toolchain; repeat it."),
    click.option("--inputs", default="{}", help="Variables of the provisioning roles, a JSON object."),
    click.option(
        "--size", "size_gib", default=12, show_default=True, help="Virtual size of the disk in GiB."
    ),
    click.option("--flavour", default="lab", show_default=True, help="The kernel that the image carries."),
)


def _planned(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Give a verb the options that make up a plan, and the plan instead of them."""

    @functools.wraps(function)
    def call(
        suite: str, sets: tuple[str, ...], inputs: str, size_gib: int, flavour: str, **options: Any
    ) -> Outcome:
        if options.get("check") and artefact.find(flavour) is None:
            later = {"rootfs_ready": False, "image_ready": False}
            return Outcome(True, "the image would be made once its kernel is built", later)
        return function(plan.make(suite, sets, plan.inputs_of(inputs), size_gib, flavour), **options)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call


def _facts(wanted: plan.Plan) -> dict[str, Any]:
    """What the roles need to know about a plan."""
    rootfs, image = wanted.rootfs(), wanted.image()
    return {
        "rootfs": wanted.rootfs_digest,
        "rootfs_ready": bool(rootfs or image),
        "rootfs_tree": str(wanted.rootfs_tree),
        "digest": wanted.digest,
        "image_ready": bool(image),
        "tree": str(wanted.tree),
        "disk": str(image.file("disk.raw")) if image else "",
        "kernel": wanted.kernel.digest,
        "release": wanted.kernel.manifest["release"],
        "chroot": str(namespace.CHROOT),
    }


@click.group()
def command() -> None:
    """Images: a Debian tree, provisioned by roles, sealed into a read-only disk."""


@verb(command, "plan")
@_planned
def show(wanted: plan.Plan) -> Outcome:
    """Say which image is wanted and what of it is in the cache.

    Example: klab image plan --set base --set build
    """
    facts = _facts(wanted)
    state = "in the cache" if facts["image_ready"] else "to be sealed"
    tree = "in the cache" if facts["rootfs_ready"] else "to be made"
    text = (
        f"image {digests.short(wanted.digest)}: {state}; tree {digests.short(wanted.rootfs_digest)}: {tree}"
    )
    return Outcome(False, text, facts)


@verb(command, "base")
@_planned
@check_option
def base(wanted: plan.Plan, check: bool) -> Outcome:
    """Make the bare tree that the roles provision, unless it is there.

    Example: klab image base --set base
    """
    missing = not wanted.rootfs() and not wanted.image()
    changed = missing and (not wanted.rootfs_tree.exists() if check else build.base(wanted))
    return Outcome(changed, f"tree: {wanted.rootfs_tree}" if missing else "nothing to do", _facts(wanted))


@verb(command, "keep")
@_planned
@check_option
def keep(wanted: plan.Plan, check: bool) -> Outcome:
    """Keep the provisioned tree and hand over one for the kernel.

    Example: klab image keep --set base
    """
    if wanted.image():
        return Outcome(False, "nothing to do", _facts(wanted))
    changed = not wanted.rootfs() or not wanted.tree.exists()
    if not check:
        build.keep(wanted)
    return Outcome(changed, f"tree: {wanted.tree}", _facts(wanted))


@verb(command, "seal")
@_planned
@check_option
def seal(wanted: plan.Plan, check: bool) -> Outcome:
    """Seal the tree with its kernel into a read-only disk.

    Example: klab image seal --set base
    """
    changed = not wanted.image()
    if changed and not check:
        build.seal(wanted)
    return Outcome(changed, f"image {digests.short(wanted.digest)}", _facts(wanted))


@verb(command, "list")
def list_all() -> Outcome:
    """List the images in the cache, newest first.

    Example: klab image list
    """
    found = [build.describe(entry) for entry in store.entries(plan.IMAGES)]
    lines = [
        f"{digests.short(i['digest'])}  {i['suite']}  {i['release']:<22} {i['allocated'] / 1e9:.1f} GB  "
        f"{', '.join(i['sets'])}"
        for i in found
    ]
    return Outcome(False, "\n".join(lines) or "no image in the cache", {"images": found})
