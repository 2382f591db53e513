# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab contract` and `klab matrix`: the proof of labs, made and shown."""

from __future__ import annotations

import math
import sys
from datetime import datetime
from pathlib import Path

import click

from klab import catalogue
from klab.cli.verb import Outcome, verb
from klab.lab import contract as contracts
from klab.lab import proofs
from klab.lab.proofs import GREEN, Proof

group = click.Group()
UNPROVED = 1  # exit status unless every lab is green: what cannot be told is no proof
words_argument = click.argument("words", nargs=-1)
junit_option = click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write a JUnit report there."
)


def _labs(words: tuple[str, ...]) -> tuple[catalogue.Course, list[catalogue.Lab]]:
    course = catalogue.load()
    return course, catalogue.select(course, words or ("all",))


def _outcome(found: list[Proof], changed: bool, junit: Path | None) -> Outcome:
    if junit:
        proofs.junit(found, junit)
    green = all(proof.word == GREEN or proof.late for proof in found)
    return Outcome(
        changed,
        f"{proofs.table(found)}\n{proofs.count(found)}",
        {"proofs": [{**proof.as_dict(), "word": proof.word} for proof in found]},
        0 if green else UNPROVED,
    )


def _within(labs: list[catalogue.Lab], flavours: tuple[str, ...]) -> list[catalogue.Lab]:
    """The labs that these kernels prove, or that are proved already; says which it leaves out."""
    kept = []
    for lab in labs:
        # A wrong answer may be one that only a kernel with sanitizers sees: all or nothing.
        lacking = sorted(set(lab.flavours) - set(flavours))
        known = proofs.valid(lab)
        if lacking and not (known and known.word == GREEN):
            print(f"left out: {lab.id} wants the kernel {', '.join(lacking)}", file=sys.stderr)
        else:
            kept.append(lab)
    return kept


@verb(group, "contract")
@words_argument
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    help="Labs at a time (default: one more than cores, as memory allows).",
)
@click.option("--fresh", is_flag=True, help="Prove anew what is unchanged since it was proved.")
@click.option(
    "--flavour",
    "flavours",
    multiple=True,
    help="Prove the labs that these kernels suffice for, and say what is left out; may be repeated.",
)
@click.option("--seed", type=click.IntRange(0), help="Repeat a run: its first seed; the others follow it.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%dT%H:%M"]),
    help="Begin with no lab after this local time, and say which are left: the next such run begins there.",
)
@click.option("--write", "commit", is_flag=True, help="Update docs/reference/data/proofs.json.")
@junit_option
def contract(
    *,
    words: tuple[str, ...],
    jobs: int | None,
    fresh: bool,
    flavours: tuple[str, ...],
    seed: int | None,
    until: datetime | None,
    commit: bool,
    junit: Path | None,
) -> Outcome:
    """Prove labs: the solution passes, with several seeds; starter and wrong answers fail.

    WORDS choose: a lab, a module, track:ID, path:ID, changed:REF; all without any. A lab that
    is unchanged since it was proved is reported from then. The exit status is 0 only when
    every lab is green, but for those that --until left no time.

    Example: klab contract track:1 --junit results/local/contract.xml
    """
    course, labs = _labs(words)
    if flavours:
        labs = _within(labs, flavours)
    chosen = contracts.seeds() if seed is None else [seed + n for n in range(contracts.SEEDS)]
    run = contracts.Run(
        chosen,
        tell=lambda text: print(text, file=sys.stderr, flush=True),
        until=until.timestamp() if until else math.inf,
    )
    found = contracts.prove(labs, at_once=jobs or contracts.jobs(), fresh=fresh, run=run)
    changed = proofs.write(found, course) if commit else False
    return _outcome(found, changed, junit)


@verb(group, "matrix")
@words_argument
@junit_option
def matrix(words: tuple[str, ...], junit: Path | None) -> Outcome:
    """Show the last proof of labs, and which were never proved or have changed since.

    Example: klab matrix track:1
    """
    _, labs = _labs(words)
    outcome = _outcome([proofs.current(lab) for lab in labs], False, junit)
    outcome.code = 0  # it shows; klab contract proves
    return outcome
