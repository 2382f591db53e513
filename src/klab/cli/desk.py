# SPDX-License-Identifier: GPL-3.0-or-later
"""klab desk: the other end of the student's `klab`; QEMU calls it, people need not."""

from __future__ import annotations

import os
import sys

import click

from klab.desk import server
from klab.paths import log_dir


@click.command(hidden=True)
@click.argument("machine")
def command(machine: str) -> None:
    """Answer one call from MACHINE on standard input and output."""
    # QEMU hands both to the machine; what a traceback says belongs to this computer.
    log_dir().mkdir(parents=True, exist_ok=True)
    log = (log_dir() / f"desk-{machine}.log").open("a")
    os.dup2(log.fileno(), sys.stderr.fileno())
    server.answer(machine)
