# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab boot`: another kernel for a machine of this computer."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import click

from klab.cli.verb import Outcome, check_option, timeout_option, verb
from klab.cli.vm import DEFAULT
from klab.errors import KlabError
from klab.kernel import artefact
from klab.kernel import flavour as flavours
from klab.machine import install, model, parts, ssh, state, switch

STEP = "boot"


def _wanted(flavour: str, cmdline: str) -> parts.Kernel:
    """The flavour's kernel, with its arguments and more ones."""
    described = flavours.load(flavour)
    if described.boots != "debian":
        raise KlabError(
            f"flavour {flavour} boots micro guests only, not a machine with Debian on it",
            step=STEP,
            mend="klab guest run --kernel DIGEST -- COMMAND; klab kernel list shows the digests",
        )
    words = [*described.cmdline, cmdline]
    kernel = parts.kernel(artefact.get(flavour).digest)
    return replace(kernel, cmdline=" ".join(word for word in words if word))


def _machine(name: str, flavour: str) -> model.Machine:
    if machine := model.find(name):
        return machine
    raise KlabError(
        f"{name} is no machine of this computer",
        step=STEP,
        machine=name,
        mend="make lab makes one; a machine with a boot loader of its own is switched by\n"
        f"ansible-playbook playbooks/kernel_boot.yml -i INVENTORY -e kernel_boot_flavour={flavour}",
    )


def boot(flavour: str, name: str, cmdline: str, timeout: float, check: bool) -> Outcome:
    """Run a machine on the kernel FLAVOUR, which is installed on it first if need be.

    If that kernel panics or does not answer, the machine goes back to the last good one,
    and the command fails and says so. `klab vm reset` goes back to the kernel that the
    machine was made with, as it goes back in all else.
    Example: klab boot san && klab boot lab
    """
    kernel = _wanted(flavour, cmdline)
    if check:
        machine = _machine(name, flavour)
        other = machine.kernel != kernel.facts()
        text = f"would run {name} on {kernel.release}" if other else f"{name} boots {kernel.release}"
        return Outcome(other, text)
    began = time.monotonic()
    with model.locked(name):
        machine = _machine(name, flavour)
        changed = switch.to(machine, kernel, partial(install.on, machine), timeout)
    took = f" after {time.monotonic() - began:.0f} s" if changed else ""
    text = f"{name} runs {kernel.release}, flavour {flavour}{took}: {ssh.line(machine)}"
    return Outcome(changed, text, {"machine": state.facts(machine)})


for decorate in (
    check_option,
    timeout_option,
    click.option("--cmdline", default="", help="More kernel arguments, until the next switch."),
    click.option("--name", default=DEFAULT, show_default=True, help="The machine."),
    click.argument("flavour"),
):
    boot = decorate(boot)
command = verb(click.Group(), "boot")(boot)
