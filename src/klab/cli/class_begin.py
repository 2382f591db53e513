# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab class claim`, `begin` and `release`: one run at a time is at work on a class."""

from __future__ import annotations

import click

from klab.classroom import claim, definition, keys
from klab.cli.class_options import class_option
from klab.cli.verb import Outcome, check_option, verb

group = click.Group()
force_option = click.option("--force", is_flag=True, help="Although another run is at work, which is dead.")


@verb(group, "claim")
@class_option
@force_option
@check_option
def claim_(*, where: str, force: bool, check: bool) -> Outcome:
    """Be the only run that opens or closes the class; ends by itself with the playbook.

    Example: klab class claim --force
    """
    class_ = definition.load(where)
    other = claim.held(class_)
    if check:
        return Outcome(False, f"{other.owner} on {other.host} is at work" if other else "nobody is at work")
    mine = claim.take(class_, force=force)
    return Outcome(False, f"class {class_.name} is {mine.owner}'s, on {mine.host}")


@verb(group, "release")
@class_option
def release(*, where: str) -> Outcome:
    """Let others open or close the class.

    Example: klab class release
    """
    class_ = definition.load(where)
    return Outcome(False, "it was claimed" if claim.release(class_) else "nobody had claimed it")


@verb(group, "begin")
@class_option
@force_option
@check_option
def begin(*, where: str, force: bool, check: bool) -> Outcome:
    """Claim the class, and make the keys of it and its seats unless they are there.

    Example: klab class begin --json
    """
    class_ = definition.load(where)
    if check:
        empty = {seat.name: {"authorized": [], "host_key": ""} for seat in class_.seats}
        return Outcome(False, f"would make keys of {len(class_.seats)} seats", {"keys": empty})
    claim.take(class_, force=force)
    return Outcome(False, f"keys of {len(class_.seats)} seats", {"keys": keys.make(class_)})
