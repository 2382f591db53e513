# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab class claim`, `release`, `begin` and `join`: what playbooks/classroom_open.yml asks for."""

from __future__ import annotations

import time

import click

from klab.classroom import claim, definition, opening, restore
from klab.cli.class_options import chosen, class_option, seat_options, told
from klab.cli.verb import Outcome, check_option, timeout_option, verb
from klab.errors import KlabError
from klab.paths import tilde

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
    return Outcome(False, f"keys of {len(class_.seats)} seats", {"keys": opening.keys(class_)})


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
