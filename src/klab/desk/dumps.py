# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of a student's debuggee. crash and drgn run on the machine (roles/lab_machine)."""

from __future__ import annotations

import time

import click

from klab.debuggee import dumps, lifecycle
from klab.desk import place as places
from klab.desk.talk import say
from klab.machine.model import Machine

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
def take(machine: Machine) -> int:
    """Take a dump of it as it is, also when it hangs. It goes on afterwards.

    Example: klab dump take
    """
    say(_told(dumps.live(lifecycle.get(machine.name))))
    return 0


@group.command("list")
@click.pass_obj
def listing(machine: Machine) -> int:
    """Your dumps, the newest last.

    Example: klab dump list
    """
    lifecycle.settled(machine.name)
    found = dumps.listed(machine.name)
    say(
        "\n".join(map(_told, found))
        or "There is none yet. klab dump take, or let it crash: klab debuggee up --kdump"
    )
    return 0


def _told(dump: dumps.Dump) -> str:
    when = time.strftime("%F %T", time.localtime(dump.taken))
    return f"{dump.name}  {dump.how:<6} {when}  {dump.size >> 20:>5} MiB  kernel {dump.flavour}"


@group.command(hidden=True)
@click.argument("name", default="")
@click.pass_obj
def fetch(machine: Machine, name: str) -> int:
    """Bring a dump to the machine, unless it is there: its file, release, and how it was taken."""
    lifecycle.settled(machine.name)
    dump = dumps.get(machine.name, name)
    target = f"{FOLDER}/{dump.name}/{dumps.VMCORE}"
    places.send(machine, target, dump.vmcore)
    say(f"{target} {dump.release} {dump.how}")
    return 0
