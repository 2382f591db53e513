# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers under a key: solutions, wrong answers and the tasks that solve, as Ansible's vault has them.

A teacher who keeps labs where students can read them seals the answers. The key is where
Ansible looks for it: ANSIBLE_VAULT_PASSWORD_FILE names a file with it, or a program that
prints it. Ansible reads sealed tasks itself.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from klab.errors import KlabError

if TYPE_CHECKING:
    from klab.catalogue import Lab

STEP = "lab: seal"
KEY = "ANSIBLE_VAULT_PASSWORD_FILE"
HEAD = b"$ANSIBLE_VAULT;"


def sealed(path: Path) -> bool:
    """Whether a file can only be read with the key."""
    with path.open("rb") as stream:
        return stream.read(len(HEAD)) == HEAD


def key_named() -> bool:
    """Whether there is a key to open seals with."""
    return bool(os.environ.get(KEY))


def answers(lab: Lab) -> list[Path]:
    """The files of a lab that give its answer away."""
    files = [lab.solution, *lab.wrongs, lab.task("solve")]
    return [path for path in files if path and path.is_file()]


def text(path: Path) -> str:
    """What a file says, its seal opened. Raises KlabError without the right key."""
    if not sealed(path):
        return path.read_text()
    vault, _ = _vault(path)
    try:
        return bytes(vault.decrypt(path.read_bytes())).decode()
    except Exception as error:  # what a wrong key raises differs from one ansible-core to the next
        raise KlabError(
            f"{path} cannot be opened: {error}", step=STEP, mend=f"name the right key in {KEY}"
        ) from None


def seal(path: Path) -> bool:
    """Put a file under the key, unless it is. Raises KlabError without one."""
    if sealed(path):
        return False
    vault, secret = _vault(path)
    _replace(path, vault.encrypt(path.read_bytes(), secret=secret))
    return True


def unseal(path: Path) -> bool:
    """Make a file readable for all again, unless it is. Raises KlabError without the right key."""
    if not sealed(path):
        return False
    _replace(path, text(path).encode())
    return True


def _replace(path: Path, content: bytes) -> None:
    """All of it or nothing: an answer is not lost half-way."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(content)
    draft.chmod(path.stat().st_mode & 0o777)
    draft.replace(path)


def _vault(path: Path) -> tuple[Any, Any]:
    name = os.environ.get(KEY, "")
    if not name:
        raise KlabError(
            f"{path} needs a key, and none is named",
            step=STEP,
            mend=f"export {KEY}=FILE, a file with the key or a program that prints it",
        )
    return _opened(name)


@cache
def _opened(name: str) -> tuple[Any, Any]:
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415 - a second, for those with a seal
    from ansible.parsing.vault import VaultLib, get_file_vault_secret  # noqa: PLC0415 - as above

    try:
        secret = get_file_vault_secret(filename=name, loader=DataLoader())
        secret.load()
    except Exception as error:  # ansible's own, also for programs that fail
        raise KlabError(
            f"the key in {name} cannot be read: {error}", step=STEP, mend=f"{KEY} names a file with a key"
        ) from None
    return VaultLib([("default", secret)]), secret
