# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab class`: many machines from one roster."""

from __future__ import annotations

import click

from klab.cli import Lazy

COMMANDS = {
    "plan": "class_plan",
    "cards": "class_plan",
    "hypervisors": "class_spread",
    "spread": "class_spread",
    "claim": "class_begin",
    "begin": "class_begin",
    "join": "class_open",
    "release": "class_begin",
    "status": "class_work",
    "lab": "class_lab",
    "say": "class_work",
    "restore": "class_open",
    "collect": "class_work",
    "grade": "class_work",
    "verify": "class_work",
    "archive": "class_work",
    "forget": "class_open",
}


@click.group(cls=Lazy, modules=COMMANDS)
def command() -> None:
    """Run a class: many machines from one roster."""
