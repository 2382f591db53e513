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
@click.option(
    "--toolchain", default=root.GCC, show_default=True, help="A root of labs/_kernels/toolchain.yml."
)
@check_option
def build(toolchain: str, check: bool) -> Outcome:
    """Make a build root unless it is in the cache.

    Example: klab root build --toolchain llvm
    """
    entry = root.find(toolchain)
    changed = entry is None
    if check and not entry:
        return Outcome(True, f"the build root {toolchain} would be made")
    entry = entry or root.ensure(toolchain)
    versions = dict(root.ready(toolchain).versions)
    return Outcome(
        changed,
        f"build root {toolchain} {'made' if changed else 'reused'}: {entry.path}",
        {"path": str(entry.path / "tree"), "digest": entry.digest, "tools": versions},
    )
