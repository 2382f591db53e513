# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab vm seat`: one of many machines that go on from a template's ready point."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from klab import accel
from klab.cli.verb import Outcome, check_option, timeout_option
from klab.desk import record
from klab.machine import argv, libvirt, model, parts, ports, seats, ssh, state

uri_option = click.option(
    "--uri",
    type=click.Choice([libvirt.SYSTEM, libvirt.SESSION]),
    help="Of libvirt's daemon; else root's is the system's, and another user's their own.",
)


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
@click.option("--listen", default=ports.LOOPBACK, show_default=True, help="Address of its ssh port here.")
@click.option("--ssh-port", type=click.IntRange(0, 65535), default=0, help="Exactly this port; 0 picks one.")
@click.option("--port-base", type=click.IntRange(1024, 65000), default=2222, show_default=True)
@click.option("--gdb-base", type=click.IntRange(1024, 65000), default=1234, show_default=True)
@click.option(
    "--provider",
    type=click.Choice([model.QEMU, model.LIBVIRT]),
    default=model.QEMU,
    show_default=True,
    help="Who runs its QEMU.",
)
@uri_option
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
    provider: str,
    uri: str | None,
    timeout: float,
    check: bool,
) -> Outcome:
    """Make a machine like another one, unless it is there, and bring it up; what is on it stays.

    Example: klab vm seat --name seat1 --like lab1 --no-internet
    """
    ports.check(listen)
    wanted = parts.Seat(
        authorized=authorized,
        host_key=host_key,
        internet=not no_internet,
        ssh_port=ssh_port,
        port_base=port_base,
        gdb_base=gdb_base,
        provider=provider,
        uri=(uri or libvirt.default_uri()) if provider == model.LIBVIRT else "",
        listen=listen,
    )
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
    notes = libvirt.notes(known) if known.provider == model.LIBVIRT else []
    said = "\n".join([f"{name} answers: {ssh.line(known)}", *(f"note: {note}" for note in notes)])
    return Outcome(changed, said, {"machine": state.facts(known), "notes": notes})


@uri_option
def hypervisor(uri: str | None) -> Outcome:
    """Tell whether this computer's libvirt can run machines.

    Example: klab vm libvirt --uri qemu:///system
    """
    where = uri or libvirt.default_uri()
    versions = libvirt.check(where, accel.probe().accel)
    return Outcome(False, f"{where}: {versions}", {"uri": where, "versions": versions})


@click.option("--like", help="A machine whose ready point it must be able to go on from, where there is one.")
def qemu(like: str | None) -> Outcome:
    """Tell whether this computer's QEMU can run machines, and by which accelerator.

    Example: klab vm qemu --like kernel-template
    """
    version = argv.check(model.find(like) if like else None)
    verdict = accel.probe()
    return Outcome(False, f"{version}, {verdict.accel}", {"version": version, "accel": verdict.accel})


@click.option("--name", "names", multiple=True, required=True, help="A machine; may be repeated.")
@click.option("--close", "taken", multiple=True, metavar="LAB", help="Take a lab back from its student.")
@click.option("--open", "given", multiple=True, metavar="LAB", help="Give it again.")
def labs(names: tuple[str, ...], taken: tuple[str, ...], given: tuple[str, ...]) -> Outcome:
    """Tell what was done at this computer's desk, of machines that are there; close or open labs there.

    Example: klab vm labs --name seat1 --close kernel-architecture/lkm-lifecycle
    """
    found, changed = {}, False
    for machine in filter(None, map(model.find, names)):
        changed |= record.close(machine, taken) | record.close(machine, given, again=True)
        found[machine.name] = {lab: asdict(done) for lab, done in record.load(machine).items()}
    lines = [f"{name}: {', '.join(known) or 'no lab'}" for name, known in found.items()]
    return Outcome(changed, "\n".join(lines), {"labs": found})
