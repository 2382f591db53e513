# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab class`: many machines from one roster."""

from __future__ import annotations

import click

from klab.classroom import definition, plan
from klab.cli import class_work
from klab.cli.class_options import class_option
from klab.cli.verb import Outcome, verb


@click.group()
def command() -> None:
    """Run a class: many machines from one roster."""


command.commands.update(class_work.group.commands)


@verb(command, "plan")
@class_option
def plan_(where: str) -> Outcome:
    """Show who would sit where, and whether it fits; ends with 1 when it does not. Changes nothing.

    Example: klab class plan --class inventories/classroom
    """
    class_ = definition.load(where)
    body = plan.facts(class_)
    return Outcome(False, plan.text(class_, body), {"plan": body}, 0 if body["fits"] else 1)
