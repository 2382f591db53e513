# SPDX-License-Identifier: GPL-3.0-or-later
"""klab kernel observe: what a kernel promises, seen in a running one."""

from __future__ import annotations

from pathlib import Path

import click

from klab.cli.verb import Outcome
from klab.paths import tilde
from klab.promise import observe as observer
from klab.promise.verdict import NOT_OBSERVED, OBSERVED, Verdict

RED, UNSURE = 1, 2  # exit statuses, when at least one promise is so


def _line(verdict: Verdict) -> str:
    return f"{verdict.promise:<16} {verdict.word:<13} {verdict.here.wall_s:>5.1f} s  {verdict.reason}"


@click.option("--promise", "only", multiple=True, help="Only this promise; may be repeated.")
def observe(flavour: str, own: tuple[Path, ...], only: tuple[str, ...]) -> Outcome:
    """Provoke what a flavour promises in guests of its kernel and of stock.

    The exit status is 0 when all is observed, 1 when something is not, 2 when something
    cannot be told.

    Example: klab kernel observe --flavour lab --promise kgdb-answers
    """
    verdicts = observer.observe(flavour, only, own=own, tell=lambda v: click.echo(_line(v), err=True))
    words = {verdict.word for verdict in verdicts}
    good = sum(verdict.word == OBSERVED for verdict in verdicts)
    code = RED if NOT_OBSERVED in words else UNSURE if words - {OBSERVED} else 0
    place = observer.proofs(verdicts[0].here.kernel) if verdicts else "nothing is promised"
    return Outcome(
        False,
        f"flavour {flavour}: {good} of {len(verdicts)} promises observed; kept in {tilde(place)}",
        {"verdicts": [verdict.as_dict() for verdict in verdicts]},
        code,
    )
