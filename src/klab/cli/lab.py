# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab start`, `check`, `reset`, `solve`, `collect`: labs on a machine, from this computer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from klab import catalogue
from klab.classroom import reach
from klab.cli.verb import Outcome, check_option, verb
from klab.cli.vm import DEFAULT
from klab.desk import verbs

group = click.Group()
words_argument = click.argument("words", nargs=-1, required=True)
machine_option = click.option("--machine", "name", default=DEFAULT, show_default=True, help="The machine.")
no_tasks_option = click.option(
    "--no-tasks",
    is_flag=True,
    help="Leave out the lab's own tasks (tasks/*.yml); role lab runs those itself.",
)


def _each(
    words: tuple[str, ...],
    name: str,
    word: str,
    do: Callable[..., bool],
    *,
    check: bool,
    no_tasks: bool,
) -> Outcome:
    """Do a verb for each chosen lab, and the lab's own tasks."""
    machine = reach.named(name)
    changed, lines, named = False, [], set()
    for lab in catalogue.select(catalogue.load(), words):
        named |= {word} if lab.task(word) else set()
        if check:
            lines.append(f"would {word} {lab.id} on {name}")
            changed = True
            continue
        did = do(machine, lab, own=not no_tasks)
        changed = changed or did
        lines.append(f"{lab.id}: {word} on {name}{'' if did else ': nothing to do'}")
    return Outcome(changed, "\n".join(lines), {"tasks": sorted(named)})


@verb(group, "start")
@words_argument
@machine_option
@no_tasks_option
@check_option
def start(words: tuple[str, ...], name: str, no_tasks: bool, check: bool) -> Outcome:
    """Put labs' files into ~/labs on a machine; what is there already stays.

    WORDS choose: a lab, a module, track:ID, path:ID, changed:REF, all.
    Example: klab start lkm-lifecycle
    """
    return _each(words, name, "start", verbs.start, check=check, no_tasks=no_tasks)


@verb(group, "reset")
@words_argument
@machine_option
@no_tasks_option
@check_option
def reset(words: tuple[str, ...], name: str, no_tasks: bool, check: bool) -> Outcome:
    """Put labs back as they were at the start; what lay there moves to ~/labs/.before-reset.

    Example: klab reset lkm-lifecycle
    """
    return _each(words, name, "reset", verbs.reset, check=check, no_tasks=no_tasks)


@verb(group, "solve")
@words_argument
@machine_option
@no_tasks_option
@check_option
def solve(words: tuple[str, ...], name: str, no_tasks: bool, check: bool) -> Outcome:
    """Put the reference solutions on a machine: for teachers; the student's files are kept aside.

    Example: klab solve lkm-lifecycle --machine lab1
    """
    return _each(words, name, "solve", verbs.solve, check=check, no_tasks=no_tasks)


@verb(group, "check")
@words_argument
@machine_option
@click.option("--seed", type=click.IntRange(0, verbs.SEEDS), help="Repeat a check exactly.")
def check(words: tuple[str, ...], name: str, seed: int | None) -> Outcome:
    """Grade labs on a machine. Ends with 0 when all pass, 1 when one fails, 2 when one cannot be told.

    Example: klab check lkm-lifecycle
    """
    machine = reach.named(name)
    found: list[dict[str, Any]] = []
    for lab in catalogue.select(catalogue.load(), words):
        said = verbs.check(machine, lab, seed=seed, tell=lambda text: print(text, file=sys.stderr))
        found.append({"lab": lab.id, "word": said.word, "seed": said.seed, "wall_s": said.wall_s})
    given = {each["word"] for each in found}
    code = 1 if "fail" in given else 2 if given - {"pass"} else 0
    lines = [f"{each['lab']}: {each['word']} (seed {each['seed']})" for each in found]
    return Outcome(False, "\n".join(lines), {"verdicts": found}, code)


@verb(group, "collect")
@words_argument
@machine_option
@click.option("--to", default="", help="Folder; else `collected` in klab's state folder.")
@check_option
def collect(words: tuple[str, ...], name: str, to: str, check: bool) -> Outcome:
    """Fetch a copy of the student's files; an earlier copy is kept beside it.

    Example: klab collect track:1 --machine lab1 --to results/local/lab1
    """
    machine = reach.named(name)
    lines, named = [], set()
    for lab in catalogue.select(catalogue.load(), words):
        named |= {"collect"} if lab.task("collect") else set()
        if check:
            lines.append(f"would collect {lab.id} from {name}")
        elif folder := verbs.collect(machine, lab, Path(to) if to else None):
            lines.append(f"{lab.id}: {folder}")
        else:
            lines.append(f"{lab.id}: not started on {name}")
    return Outcome(False, "\n".join(lines), {"tasks": sorted(named)})
