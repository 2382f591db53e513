# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a student's `klab` that needs no other computer: guests inside of the lab machine.

Role micro_guest lays it there, without graders, solutions and the record of labs. The same calls
that QEMU hands to the computer beside the machine (server.py) come from its own client.
"""

from __future__ import annotations

import click

from klab.desk import call, debuggees, dumps, guests
from klab.desk.place import Here


@click.group(context_settings=call.SETTINGS)
def calls() -> None:
    """Guests inside of this machine."""


calls.add_command(guests.command)
calls.add_command(debuggees.group)
calls.add_command(dumps.group)

if __name__ == "__main__":
    call.answer(calls, Here)
