# SPDX-License-Identifier: GPL-3.0-or-later
"""What all verbs share: `--json`, `--check`, and errors shown in one form.

A verb is a function that returns an Outcome. People get its message, programs
its JSON; klab's Ansible module reads the latter.
"""

from __future__ import annotations

import errno
import functools
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

import click

from klab.errors import KlabError


@dataclass
class Outcome:
    """What a verb did: did anything change, in a sentence, and the data behind it."""

    changed: bool = False
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    code: int = 0  # exit status when nothing failed but the answer is no


class Told(KeyboardInterrupt):
    """SIGTERM: a verb ends as by Ctrl-C, so that no guest, grader or lock stays behind."""


def _told(*_: object) -> NoReturn:
    raise Told


def _on_full_disk_too(function: Callable[..., Outcome], options: dict[str, Any]) -> Outcome:
    """Call a verb's function; a full disk may turn up at any write, so it is told here."""
    try:
        return function(**options)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        where = error.filename2 or error.filename or "the cache or the state folder"
        raise KlabError(
            f"the disk is full: {where} could not be written",
            step="write",
            mend="free some space (see klab cache list) and start again: it goes on from here",
        ) from None


def verb(group: click.Group, name: str) -> Callable[[Callable[..., Outcome]], click.Command]:
    """Register a function as `klab <group> <name>` with --json (and its errors)."""

    def decorate(function: Callable[..., Outcome]) -> click.Command:
        @functools.wraps(function)
        def call(as_json: bool, **options: Any) -> None:
            with suppress(ValueError):  # not the main thread
                signal.signal(signal.SIGTERM, _told)
            try:
                outcome = _on_full_disk_too(function, options)
            except KlabError as error:
                if as_json:
                    print(json.dumps({"failed": True, "msg": str(error), "error": error.as_dict()}))
                else:
                    print(f"klab: {error}", file=sys.stderr)
                sys.exit(1)
            except KeyboardInterrupt as how:
                print("klab: stopped; the next run goes on from here", file=sys.stderr)
                sys.exit(128 + (signal.SIGTERM if isinstance(how, Told) else signal.SIGINT))
            if as_json:
                body = {"changed": outcome.changed, "msg": outcome.message, **outcome.data}
                print(json.dumps(body, default=str, sort_keys=True))
            elif outcome.message:
                print(outcome.message)
            sys.exit(outcome.code)

        option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
        return group.command(name)(option(call))

    return decorate


check_option = click.option("--check", is_flag=True, help="Say what would be done; change nothing.")
TIMEOUT_S = 180.0  # seconds; emulation on a loaded host is slow, a dead guest is named long before
timeout_option = click.option(
    "--timeout", type=float, default=TIMEOUT_S, show_default=True, help="Longest wait for ssh, in seconds."
)
