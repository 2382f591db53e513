# SPDX-License-Identifier: GPL-3.0-or-later
"""`incoming` and `adopt`, of klab cache and of klab kernel: what another computer has made."""

from __future__ import annotations

import click

from klab import digest as digests
from klab import incoming, namespace, store
from klab.cli.verb import Outcome, check_option
from klab.kernel import build as builder
from klab.kernel import cached

digest_option = click.option("--digest", required=True, help="The whole digest of the artefact.")
entry_option = click.option(
    "--entry", "names", multiple=True, required=True, metavar="KIND/DIGEST", help="May be repeated."
)


def _split(name: str) -> tuple[str, str]:
    """Kind and digest of KIND/DIGEST. Raises KlabError when it is none."""
    kind, _, digest = name.partition("/")
    incoming.folder(kind, digest)
    return kind, digest


@entry_option
def awaited(names: tuple[str, ...]) -> Outcome:
    """Say which artefacts are in this cache, and where to lay the files of the others.

    Example: klab cache incoming --entry images/DIGEST --json
    """
    found = [
        {
            "entry": name,
            "present": store.find(*_split(name)) is not None,
            "folder": str(incoming.folder(*_split(name))),
            "laid": incoming.laid(*_split(name)),
        }
        for name in names
    ]
    lines = [
        f"{one['entry']} {'is in the cache' if one['present'] else 'is awaited in ' + str(one['folder'])}"
        for one in found
    ]
    return Outcome(False, "\n".join(lines), {"entries": found, "room": incoming.room()})


@entry_option
@check_option
def taken(names: tuple[str, ...], check: bool) -> Outcome:
    """Take artefacts that were laid in their folders into the cache, every file verified.

    Example: klab cache adopt --entry images/DIGEST
    """
    absent = [name for name in names if store.find(*_split(name)) is None]
    if not check:
        for name in names:
            kind, digest = _split(name)
            if name in absent:
                incoming.adopt(kind, digest)
            else:  # another run was quicker, and this one's copy is one too many
                namespace.remove(incoming.folder(kind, digest))
    return Outcome(bool(absent), f"taken: {', '.join(absent)}" if absent else "all are in the cache")


@digest_option
def kernel_awaited(digest: str) -> Outcome:
    """Say whether a kernel is in this cache, and where to lay its files if not.

    Example: klab kernel incoming --digest DIGEST --json
    """
    folder = incoming.folder(cached.KIND, digest)
    present = store.find(cached.KIND, digest) is not None
    said = "is in the cache" if present else f"is awaited in {folder}"
    data = {"present": present, "folder": str(folder)}
    return Outcome(False, f"kernel {digests.short(digest)} {said}", data)


@digest_option
@check_option
def kernel_taken(digest: str, check: bool) -> Outcome:
    """Take a kernel that was laid in its folder into the cache, every file verified.

    Example: klab kernel adopt --digest DIGEST
    """
    short = digests.short(digest)
    if entry := store.find(cached.KIND, digest):
        return Outcome(False, f"kernel {short} is in the cache", builder.describe(entry))
    if check:
        return Outcome(True, f"kernel {short} would be taken from {incoming.folder(cached.KIND, digest)}")
    entry = incoming.adopt(cached.KIND, digest)
    return Outcome(True, f"kernel {short} taken: {entry.path}", builder.describe(entry))
