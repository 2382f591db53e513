# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab doctor`: what this host can do and what it lacks, each with a mend."""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from klab import needs, preflight
from klab.cli.verb import Outcome, verb

STYLE = {preflight.GOOD: "green", preflight.NOTE: "yellow", preflight.BAD: "bold red"}


def render(checks: list[preflight.Check]) -> str:
    """The checks as a table; in colour only on a terminal."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "seen", "do"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        style = STYLE[check.status]
        table.add_row(Text(check.status, style), *map(Text, (check.name, check.seen, check.mend)))
    out = io.StringIO()
    width = shutil.get_terminal_size((110, 24)).columns
    Console(file=out, width=width, force_terminal=sys.stdout.isatty(), highlight=False).print(table)
    return out.getvalue().rstrip()


def doctor(
    *, stages: tuple[str, ...], flavour: str, machine: str, memory: int, ssh_port: int, fresh: bool
) -> Outcome:
    """Check this host against what a run needs; a guest is booted to find the accelerator.

    Ends with status 1 when something must be mended first.

    Example: klab doctor --fresh
    """
    run = preflight.Run(tuple(stages) or needs.STAGES, flavour, machine, memory, ssh_port)
    checks, verdict = preflight.examine(run, fresh=fresh)
    bad = [check for check in checks if check.status == preflight.BAD]
    lines = [f"{check.name}: {check.seen}\n  do: {check.mend}" for check in bad]
    end = f"{len(bad)} to mend before klab can work" if bad else "this host can do it"
    data = {
        "checks": [asdict(check) for check in checks],
        "accel": asdict(verdict) if verdict else None,
        "bad": lines,
    }
    return Outcome(False, f"{render(checks)}\n\n{end}", data, code=1 if bad else 0)


_OPTIONS = [
    click.option(
        "--stage",
        "stages",
        multiple=True,
        type=click.Choice(needs.STAGES),
        help="What is to be made; default: all.",
    ),
    click.option(
        "--flavour", default="lab", show_default=True, help="A kernel of labs/_kernels/flavours.yml."
    ),
    click.option("--machine", default="lab1", show_default=True, help="The machine to be made."),
    click.option("--memory", type=click.IntRange(min=128), default=2048, show_default=True, help="Its MiB."),
    click.option("--ssh-port", type=click.IntRange(0, 65535), default=0, help="Its ssh port; 0: any."),
    click.option("--fresh", is_flag=True, help="Boot the test guest even where the answer is known."),
]
for _option in reversed(_OPTIONS):
    doctor = _option(doctor)
command = verb(click.Group(), "doctor")(doctor)
