# SPDX-License-Identifier: GPL-3.0-or-later
"""`klab seal` and `unseal`: labs' answers under a key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from klab import catalogue
from klab.cli.verb import Outcome, check_option, verb
from klab.lab import seal
from klab.paths import tilde

group = click.Group()


def _answers(words: tuple[str, ...]) -> list[Path]:
    return [path for lab in catalogue.select(catalogue.load(), words) for path in seal.answers(lab)]


def _kept(words: tuple[str, ...], done: Callable[[Path], bool], what: str, *, check: bool) -> Outcome:
    """Do it to each answer of the labs that WORDS choose."""
    files = _answers(words)
    if check:
        changed = [path for path in files if seal.sealed(path) != (what == "sealed")]
    else:
        changed = [path for path in files if done(path)]
    lines = [f"{'would be ' if check else ''}{what}: {tilde(path)}" for path in changed]
    return Outcome(bool(changed), "\n".join(lines or [f"all {what}: {len(files)}"]), {"files": changed})


@verb(group, "seal")
@click.argument("words", nargs=-1, required=True)
@check_option
def seal_labs(words: tuple[str, ...], check: bool) -> Outcome:
    """Put labs' solutions, wrong answers and solving tasks under a key, with Ansible's vault.

    The key is what ANSIBLE_VAULT_PASSWORD_FILE names. With it, all works as before.

    Example: ANSIBLE_VAULT_PASSWORD_FILE=~/.klab-key klab seal track:1
    """
    return _kept(words, seal.seal, "sealed", check=check)


@verb(group, "unseal")
@click.argument("words", nargs=-1, required=True)
@check_option
def unseal_labs(words: tuple[str, ...], check: bool) -> Outcome:
    """Make sealed answers readable for all again.

    Example: ANSIBLE_VAULT_PASSWORD_FILE=~/.klab-key klab unseal track:1
    """
    return _kept(words, seal.unseal, "open", check=check)
