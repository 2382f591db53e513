# SPDX-License-Identifier: GPL-3.0-or-later
"""klab kernel incoming, klab kernel adopt: kernels that another host has built."""

from __future__ import annotations

import click

from klab import digest as digests
from klab import store
from klab.cli.verb import Outcome, check_option
from klab.kernel import build as builder
from klab.kernel import cached, elsewhere

digest_option = click.option("--digest", required=True, help="The whole digest of the artefact.")


@digest_option
def incoming(digest: str) -> Outcome:
    """Say whether a kernel is in this cache, and where to lay its files if not.

    Example: klab kernel incoming --digest DIGEST --json
    """
    folder = elsewhere.incoming(digest)
    present = store.find(cached.KIND, digest) is not None
    said = "is in the cache" if present else f"is awaited in {folder}"
    data = {"present": present, "folder": str(folder)}
    return Outcome(False, f"kernel {digests.short(digest)} {said}", data)


@digest_option
@check_option
def adopt(digest: str, check: bool) -> Outcome:
    """Take a kernel that was laid in its folder into the cache, every file verified.

    Example: klab kernel adopt --digest DIGEST
    """
    short = digests.short(digest)
    if entry := store.find(cached.KIND, digest):
        return Outcome(False, f"kernel {short} is in the cache", builder.describe(entry))
    if check:
        return Outcome(True, f"kernel {short} would be taken from {elsewhere.incoming(digest)}")
    entry = elsewhere.adopt(digest)
    return Outcome(True, f"kernel {short} taken: {entry.path}", builder.describe(entry))
