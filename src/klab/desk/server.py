# SPDX-License-Identifier: GPL-3.0-or-later
"""What a student's `klab` can do, beside the machine.

QEMU starts one process for each call (machine/argv.py). What comes in was written by
someone who may be anyone with root on the machine: only the verbs below, only on that
machine, and one check at a time.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from typing import NoReturn

import click

from klab import catalogue
from klab.desk import call, debuggees, dumps, guests, record, verbs
from klab.desk.talk import WIDTH, say
from klab.errors import KlabError
from klab.machine import model


def _lab(machine: model.Machine, name: str) -> catalogue.Lab:
    """The lab that is meant, by its id or its bare name. Raises KlabError when it is closed."""
    found = catalogue.select(catalogue.load(), [name])
    if len(found) != 1:
        raise KlabError(f"{name} is not one lab", step="desk", mend="klab list shows the labs")
    if found[0].id in record.closed(machine):
        raise KlabError(
            f"your teacher has closed the lab {found[0].id}",
            step="desk",
            mend=f"your files stay in ~/labs/{found[0].id}; ask your teacher to open it again",
        )
    return found[0]


@click.group(context_settings=call.SETTINGS)
def calls() -> None:
    """The labs of this machine."""


@calls.command("list")
@click.argument("words", nargs=-1)
@click.pass_obj
def list_(machine: model.Machine, words: tuple[str, ...]) -> int:
    """The labs, and how far you are. WORDS choose: a lab, a module, path:ID.

    Example: klab list kernel-architecture
    """
    known, closed = record.load(machine), record.closed(machine)
    module = ""
    for lab in catalogue.select(catalogue.load(), words or ["all"]):
        if lab.id in closed and lab.id not in known:
            continue
        if lab.module != module:
            module = lab.module
            say(f"{module}")
        progress = known.get(lab.id, record.Progress())
        word = "closed" if lab.id in closed else progress.word
        say(f"  {lab.name:<22} {word:<8} {lab.minutes:>4} min  {lab.title}")
    return 0


@calls.command()
@click.argument("lab")
@click.pass_obj
def start(machine: model.Machine, lab: str) -> int:
    """Put a lab's files into ~/labs; what is there already stays.

    Example: klab start lkm-lifecycle
    """
    spec = _lab(machine, lab)
    made = verbs.start(machine, spec)
    say(f"{spec.title}\n\n{textwrap.fill(spec.goal, WIDTH)}\n")
    say(f"{'Made' if made else 'There already'}: ~/labs/{spec.id}    Read README.md there.")
    say(f"Then: klab check {spec.name}")
    return 0


@calls.command()
@click.argument("lab")
@click.option("--seed", type=click.IntRange(0, verbs.SEEDS), help="Repeat a check exactly.")
@click.pass_obj
def check(machine: model.Machine, lab: str, seed: int | None) -> int:
    """Look at what you have done. Ends with 0 when it passes, 1 when not, 2 when it cannot tell.

    Example: klab check lkm-lifecycle
    """
    return verbs.check(machine, _lab(machine, lab), seed=seed, tell=say).code


@calls.command()
@click.argument("lab")
@click.pass_obj
def hint(machine: model.Machine, lab: str) -> int:
    """Show the next hint of a lab.

    Example: klab hint lkm-lifecycle
    """
    spec = _lab(machine, lab)
    number, text = verbs.hint(machine, spec)
    say(textwrap.fill(f"Hint {number} of {len(spec.hints)}: {text}", WIDTH))
    return 0


@calls.command()
@click.argument("lab")
@click.pass_obj
def reset(machine: model.Machine, lab: str) -> int:
    """Begin a lab anew. Your files are moved to ~/labs/.before-reset.

    Example: klab reset lkm-lifecycle
    """
    spec = _lab(machine, lab)
    verbs.reset(machine, spec)
    say(f"~/labs/{spec.id} is as at the start; what was there lies in ~/labs/.before-reset")
    return 0


@calls.command()
@click.pass_obj
def status(machine: model.Machine) -> int:
    """Your labs, hints and verdicts.

    Example: klab status
    """
    known = record.load(machine)
    if not known:
        say("no lab was started here; klab list shows them")
    for lab, progress in sorted(known.items()):
        last = progress.checks[-1] if progress.checks else None
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last.at)) if last else "-"
        said = f"last check {when}: {last.word} (seed {last.seed})" if last else "not checked"
        say(f"{lab:<42} {progress.word:<8} {progress.hints} hints, {len(progress.checks)} checks, {said}")
    return 0


calls.add_command(guests.command)
calls.add_command(debuggees.group)
calls.add_command(dumps.group)


def answer(name: str, read: Callable[[], str] | None = None) -> NoReturn:
    """Read one call for the machine `name` from standard input and answer it."""
    call.answer(calls, lambda: model.get(name), read)
