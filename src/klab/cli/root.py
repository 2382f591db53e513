# SPDX-License-Identifier: GPL-3.0-or-later
"""klab root: the build root."""

from __future__ import annotations

import click

from klab.cli.verb import Outcome, check_option, verb
from klab.kernel import root


@click.group()
def command() -> None:
    """The pinned Debian toolchain in which kernels and images are built."""


@verb(command, "build")
@check_option
def build(check: bool) -> Outcome:
    """Make the build root unless it is in the cache.

    Example: klab root build
    """
    entry = root.find()
    changed = entry is None
    if check and not entry:
        return Outcome(True, "the build root would be made")
    entry = entry or root.ensure()
    return Outcome(
        changed,
        f"build root {'made' if changed else 'reused'}: {entry.path}",
        {"path": str(entry.path / "tree"), "digest": entry.digest, "tools": dict(root.ready().versions)},
    )
