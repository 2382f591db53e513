# SPDX-License-Identifier: GPL-3.0-or-later
"""klab kernel programs: which types of BPF programs a kernel runs."""

from __future__ import annotations

import click

from klab.cli.verb import Outcome
from klab.kernel import programs as tries


@click.option("--write", "commit", is_flag=True, help=f"Update {tries.KEPT}.")
def programs(flavour: str, commit: bool) -> Outcome:
    """Load, attach and run a BPF program of each type in a guest of a flavour.

    The exit status is 0 as well when the kernel lacks some: it shows what there is.

    Example: klab kernel programs --flavour rt
    """
    found = tries.tried(flavour)
    changed = tries.write(flavour, found) if commit else False
    lines = [f"{name:<16}{said}" for name, said in found["programs"].items()]
    good = sum(said == tries.RAN for said in found["programs"].values())
    lines.append(f"{good} of {len(lines)} types ran on {flavour}, {found['release']}")
    return Outcome(changed, "\n".join(lines), found)
