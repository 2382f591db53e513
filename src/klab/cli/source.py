# SPDX-License-Identifier: GPL-3.0-or-later
"""klab source: pinned kernel sources."""

from __future__ import annotations

import click

from klab.cli.verb import Outcome, check_option, verb
from klab.kernel import flavour as flavours
from klab.kernel import source


@click.group()
def command() -> None:
    """Pinned kernel sources, fetched once and verified."""


@verb(command, "fetch")
@click.option("--flavour", default="lab", show_default=True, help="Fetch the source of this flavour.")
@check_option
def fetch(flavour: str, check: bool) -> Outcome:
    """Fetch, verify and unpack a flavour's source unless it is in the cache.

    Example: klab source fetch --flavour lab
    """
    wanted = flavours.load(flavour)
    if isinstance(wanted, flavours.Fetched):
        said = f"flavour {flavour} is fetched as Debian built it: it has no source here"
        return Outcome(False, said, {"path": "", "id": ""})
    pinned = wanted.source
    entry = source.find(pinned)
    changed = entry is None
    if check and not entry:
        return Outcome(True, f"{pinned.id} would be fetched")
    entry = entry or source.ensure(pinned)
    state = "fetched" if changed else "reused"
    return Outcome(
        changed,
        f"{pinned.id} {state}: {entry.path}",
        {"path": str(entry.path / "tree"), "digest": entry.digest, **source.facts(pinned)},
    )
