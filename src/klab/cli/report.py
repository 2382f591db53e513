# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab report`: what there is after a run, what it cost, how to get in."""

from __future__ import annotations

import click

from klab import report
from klab.cli.verb import Outcome, verb
from klab.machine import model


def show(name: str) -> Outcome:
    """Sum up a machine: kernel, accelerator, how to log in, what was made or reused, logs.

    Example: klab report
    """
    body = report.facts(model.get(name))
    text = report.text(body)
    return Outcome(False, text, {"report": body, "lines": text.splitlines()})


command = verb(click.Group(), "report")(
    click.option("--name", default="lab1", show_default=True, help="The machine.")(show)
)
