# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab class join`, `restore` and `forget`: seats get their labs, are put back, and are no more."""

from __future__ import annotations

import time

import click

from klab.classroom import definition, opening, restore
from klab.cli.class_options import chosen, class_option, seat_options, told
from klab.cli.verb import Outcome, check_option, timeout_option, verb
from klab.errors import KlabError
from klab.paths import tilde

group = click.Group()


@verb(group, "restore")
@click.argument("name")
@class_option
@click.option("--discard", is_flag=True, help="Although it does not give the labs that are on it.")
@timeout_option
@check_option
def restore_(*, name: str, where: str, discard: bool, timeout: float, check: bool) -> Outcome:
    """Put one seat's machine back to where it began, with the student's labs in it again.

    Example: klab class restore student01
    """
    began = time.monotonic()
    class_ = definition.load(where)
    seat = class_.seat(name)
    if check:
        return Outcome(True, f"would put {seat.name} back")
    labs, kept = restore.run(class_, seat, discard=discard, deadline_s=timeout)
    took = time.monotonic() - began
    text = f"{seat.name} is as new after {took:.1f} s, with {len(labs)} labs; what was there: {tilde(kept)}"
    return Outcome(True, text, {"labs": labs, "kept": kept})


@verb(group, "forget")
@seat_options
@check_option
def forget(*, where: str, names: tuple[str, ...], groups: tuple[str, ...], check: bool) -> Outcome:
    """Remove keys and records of seats whose machines are gone; their work is in the archive.

    Example: klab class forget --seat kernel-student01
    """
    class_ = definition.load(where)
    seats = [seat for seat in chosen(class_, names, groups) if class_.seat_dir(seat.name).exists()]
    if check:
        return Outcome(bool(seats), f"would forget {len(seats)} seats")
    opening.forget(class_, seats)
    return Outcome(bool(seats), f"{len(seats)} seats are forgotten")


@verb(group, "join")
@class_option
@click.option(
    "--at", "places", multiple=True, metavar="SEAT=ADDRESS:PORT", help="Where a seat is; may be repeated."
)
@check_option
def join(*, where: str, places: tuple[str, ...], check: bool) -> Outcome:
    """Note where seats are, and start the labs that they lack.

    Example: klab class join --at kernel-student01=127.0.0.1:2230
    """
    class_ = definition.load(where)
    known = {}
    for one in places:
        name, _, place = one.partition("=")
        address, _, port = place.rpartition(":")
        if not (address and port.isdigit()):
            raise KlabError(f"{one} says no place", step="class: join", mend="SEAT=ADDRESS:PORT")
        known[class_.seat(name).name] = (address, int(port))
    if check:
        return Outcome(bool(known), f"would start labs on {len(known)} seats", {"errors": {}})
    found = opening.join(class_, known)
    errors = {name: value for name, value in found.items() if isinstance(value, KlabError)}
    changed = sum(value is True for value in found.values())
    text = f"{changed} of {len(found)} seats changed{told(errors)}"
    return Outcome(changed > 0, text, {"errors": {name: str(error) for name, error in errors.items()}})
