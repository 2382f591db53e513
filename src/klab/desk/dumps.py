# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of a student's debuggee. crash and drgn run on the machine (roles/lab_machine)."""

from __future__ import annotations

import click

from klab.debuggee import dumps, lifecycle
from klab.desk import place as places
from klab.desk.place import Whose
from klab.desk.talk import say

FOLDER = "dumps"  # in the student's home


@click.group("dump")
def group() -> None:
    """What your debuggee left when it crashed, or what it is at this moment, for crash and drgn.

    \b
    klab dump crash [WORDS]   opens the newest one with crash
    klab dump drgn [WORDS]    opens it with drgn, or runs a program on it
    """


@group.command()
@click.pass_obj
def take(machine: Whose) -> int:
    """Take a dump of it as it is, also when it hangs. It goes on afterwards.

    Example: klab dump take
    """
    say(dumps.live(lifecycle.get(machine.name)).told)
    return 0


@group.command("list")
@click.pass_obj
def listing(machine: Whose) -> int:
    """Your dumps, the newest last.

    Example: klab dump list
    """
    lifecycle.settled(machine.name)
    found = dumps.listed(machine.name)
    say(
        "\n".join(dump.told for dump in found)
        or "There is none yet. klab dump take, or let it crash: klab debuggee up --kdump"
    )
    return 0


@group.command(hidden=True)
@click.argument("name", default="")
@click.pass_obj
def fetch(machine: Whose, name: str) -> int:
    """Bring a dump to the machine, unless it is there: its file, release, and how it was taken."""
    lifecycle.settled(machine.name)
    dump = dumps.get(machine.name, name)
    target = f"{FOLDER}/{dump.name}/{dumps.VMCORE}"
    places.send(machine, target, dump.vmcore)
    say(f"{target} {dump.release} {dump.how}")
    return 0
