# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab class plan` and `cards`: what a class will be, before it is opened."""

from __future__ import annotations

from pathlib import Path

import click

from klab.classroom import definition, plan
from klab.cli.class_options import class_option
from klab.cli.verb import Outcome, verb

group = click.Group()


@verb(group, "plan")
@class_option
def plan_(where: str) -> Outcome:
    """Show who would sit where, and whether it fits; ends with 1 when it does not. Changes nothing.

    Example: klab class plan --class inventories/classroom
    """
    class_ = definition.load(where)
    body = plan.facts(class_)
    return Outcome(False, plan.text(class_, body), {"plan": body}, 0 if body["fits"] else 1)


@verb(group, "cards")
@class_option
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder.")
@click.option(
    "--per-page", type=click.IntRange(1, 8), default=8, show_default=True, help="Cards on a page of A4."
)
def cards_(where: str, to: Path, per_page: int) -> Outcome:
    """Write a card for each student, to print and cut out, and a page of the class.

    Example: klab class cards --to results/local/cards
    """
    from klab.classroom import cards  # noqa: PLC0415 - only cards need templates and QR codes

    files, notes = cards.write(definition.load(where), to, per_page)
    lines = [*map(str, files), *notes]
    return Outcome(True, "\n".join(lines), {"files": files, "notes": notes})
