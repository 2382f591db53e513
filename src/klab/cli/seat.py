# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab vm seat`: one of many machines that go on from a template's ready point."""

from __future__ import annotations

from pathlib import Path

import click

from klab.cli.verb import Outcome, check_option, timeout_option
from klab.machine import model, parts, seats, ssh, state
from klab.machine.ports import LOOPBACK


@click.option("--name", required=True, help="The machine.")
@click.option("--like", required=True, help="The machine from whose ready point it goes on.")
@click.option(
    "--authorized", multiple=True, metavar="KEY", help="A public key that logs in; may be repeated."
)
@click.option(
    "--host-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its ssh host key, with .pub beside it; else one is made.",
)
@click.option("--no-internet", is_flag=True, help="It reaches nothing but klab on this computer.")
@click.option("--listen", default=LOOPBACK, show_default=True, help="Address of its ssh port here.")
@click.option("--ssh-port", type=click.IntRange(0, 65535), default=0, help="Exactly this port; 0 picks one.")
@click.option("--port-base", type=click.IntRange(1024, 65000), default=2222, show_default=True)
@click.option("--gdb-base", type=click.IntRange(1024, 65000), default=1234, show_default=True)
@timeout_option
@check_option
def seat(
    *,
    name: str,
    like: str,
    authorized: tuple[str, ...],
    host_key: Path | None,
    no_internet: bool,
    listen: str,
    ssh_port: int,
    port_base: int,
    gdb_base: int,
    timeout: float,
    check: bool,
) -> Outcome:
    """Make a machine like another one, unless it is there, and bring it up; what is on it stays.

    Example: klab vm seat --name seat1 --like lab1 --no-internet
    """
    wanted = parts.Seat(authorized, host_key, not no_internet, listen, ssh_port, port_base, gdb_base)
    if check:
        there = state.of_name(name) in (state.RUNNING, state.READY)
        return Outcome(
            not there, f"{name}: nothing to do" if there else f"would bring up {name}, like {like}"
        )
    with model.locked(name):
        known = model.find(name)
        if known is None:
            with model.locked(like, wait=True):
                known = seats.create(name, model.get(like), wanted)
        changed = seats.up(known, timeout)
    said = f"{name} answers: {ssh.line(known)}"
    return Outcome(changed, said, {"machine": state.facts(known)})
