# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab class lab`: which labs the seats have."""

from __future__ import annotations

import functools

import click

from klab.classroom import away, definition, parallel, reach
from klab.classroom.model import Seat
from klab.cli.class_options import chosen, each, failed, labs_of, seat_options
from klab.cli.verb import Outcome, check_option, verb
from klab.desk import record, verbs
from klab.errors import KlabError

group = click.Group()


@group.group("lab")
def lab_group() -> None:
    """Give labs to seats, renew them, or take them back."""


@verb(lab_group, "open")
@click.argument("words", nargs=-1, required=True)
@seat_options
@check_option
def open_(
    words: tuple[str, ...], where: str, names: tuple[str, ...], groups: tuple[str, ...], check: bool
) -> Outcome:
    """Start labs on seats; what is there already stays.

    Example: klab class lab open lkm-lifecycle --group blue
    """
    class_ = definition.load(where)
    seats, labs = chosen(class_, names, groups), labs_of(class_, words)
    if check:
        return Outcome(True, f"would start {len(labs)} labs on {len(seats)} seats")

    def one(seat: Seat) -> bool:
        reached = reach.of(class_, seat)
        record.close(reached, [lab.id for lab in labs], again=True)
        return any(list(map(functools.partial(verbs.start, reached), labs)))

    unheard = away.close(class_, seats, [lab.id for lab in labs], again=True)
    found = parallel.over(seats, one)
    changed = sum(value is True for value in found.values())
    return each(f"{changed} of {len(seats)} seats changed", changed > 0, unheard | failed(found))


@verb(lab_group, "renew")
@click.argument("words", nargs=-1, required=True)
@seat_options
@check_option
def renew(
    words: tuple[str, ...], where: str, names: tuple[str, ...], groups: tuple[str, ...], check: bool
) -> Outcome:
    """Bring labs that were started to what this checkout has, but for the files that students edit.

    What is replaced lies in ~/labs/.before-reset afterwards.

    Example: klab class lab renew lkm-lifecycle
    """
    class_ = definition.load(where)
    seats, labs = chosen(class_, names, groups), labs_of(class_, words)

    def one(seat: Seat) -> dict[str, list[str]]:
        reached = reach.of(class_, seat)
        found = {lab.id: verbs.renew(reached, lab, check=check) for lab in labs}
        return {lab: files for lab, files in found.items() if files}

    found = parallel.over(seats, one)
    renewed = {name: value for name, value in found.items() if value and not isinstance(value, KlabError)}
    files = sorted(
        {f"{lab}/{file}" for value in renewed.values() for lab, names in value.items() for file in names}
    )
    head = f"{'would change' if check else 'changed'} {len(renewed)} of {len(seats)} seats"
    return each("\n  ".join([head, *files]), bool(renewed), failed(found), renewed=renewed)


@verb(lab_group, "close")
@click.argument("words", nargs=-1, required=True)
@seat_options
@check_option
def close(
    words: tuple[str, ...], where: str, names: tuple[str, ...], groups: tuple[str, ...], check: bool
) -> Outcome:
    """Take labs back: students keep their files, but can no longer start, check or reset them.

    Example: klab class lab close lkm-lifecycle
    """
    class_ = definition.load(where)
    seats, labs = chosen(class_, names, groups), labs_of(class_, words)
    if check:
        return Outcome(True, f"would close {len(labs)} labs on {len(seats)} seats")

    def one(seat: Seat) -> bool:
        reached = reach.of(class_, seat)
        reach.private(reached.record)
        return record.close(reached, [lab.id for lab in labs])

    unheard = away.close(class_, seats, [lab.id for lab in labs])
    found = parallel.over(seats, one)
    changed = sum(value is True for value in found.values())
    return each(f"{changed} of {len(seats)} seats changed", changed > 0, unheard | failed(found))
