# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands on seats share: which class, which of its seats, which labs, and how errors are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from klab import catalogue
from klab.classroom import definition
from klab.classroom.model import Class, Seat
from klab.classroom.plan import table
from klab.cli.verb import Outcome
from klab.errors import KlabError

F = TypeVar("F", bound=Callable[..., Any])
class_option = click.option(
    "--class",
    "where",
    default=definition.DEFAULT,
    show_default=True,
    help="The folder that holds klab.yml and the roster.",
)


def seat_options(function: F) -> F:
    """--class, --seat and --group, as arguments where, names and groups."""
    function = click.option("--group", "groups", multiple=True, help="Only this group of the roster.")(
        function
    )
    function = click.option("--seat", "names", multiple=True, help="Only this seat.")(function)
    return class_option(function)


def chosen(class_: Class, names: Sequence[str], groups: Sequence[str]) -> list[Seat]:
    """The seats that are meant, in the roster's order; all of them by default.

    Raises KlabError for a seat or a group that is not there.
    """
    for group in groups:
        known = sorted({seat.student.group for seat in class_.seats} - {""})
        if group not in known:
            raise KlabError(
                f"class {class_.name} has no group {group}",
                step="class: choose seats",
                mend=f"the groups are: {', '.join(known) or 'none'}",
            )
    asked = {class_.seat(name).name for name in names}
    return [
        seat
        for seat in class_.seats
        if (seat.name in asked or not names) and (seat.student.group in groups or not groups)
    ]


def labs_of(class_: Class, words: Sequence[str]) -> list[catalogue.Lab]:
    """The labs that the words mean, else those of the class and of its students' paths."""
    paths = sorted({f"path:{one.path}" for one in class_.students if one.path})
    return catalogue.select(catalogue.load(), words or [*class_.labs, *paths])


def failed(found: Mapping[str, Any]) -> dict[str, KlabError]:
    """Those that gave an error."""
    return {name: value for name, value in found.items() if isinstance(value, KlabError)}


def told(errors: Mapping[str, KlabError]) -> str:
    """Errors as a table: whose, what, what to do."""
    if not errors:
        return ""
    rows = [("failed", "what", "do")]
    rows += [
        (name, error.what.splitlines()[0], error.mend.splitlines()[0] if error.mend else "")
        for name, error in errors.items()
    ]
    return f"\n\n{table(rows)}"


def each(text: str, changed: bool, errors: dict[str, KlabError], **more: Any) -> Outcome:
    """What was done on many seats, and where it failed."""
    data = {**more, "errors": {name: error.as_dict() for name, error in errors.items()}}
    return Outcome(changed, text + told(errors), data, 1 if errors else 0)
