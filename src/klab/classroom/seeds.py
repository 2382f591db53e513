# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed of a student's grading: neighbours get other ones, and the class's secret gives each again."""

from __future__ import annotations

import hashlib
import hmac
import os

from klab import lock
from klab.classroom import reach
from klab.classroom.model import Class
from klab.desk.verbs import SEEDS
from klab.errors import KlabError

LENGTH = 32  # bytes


def secret(class_: Class) -> bytes:
    """The class's secret, made when it is first asked for. Raises KlabError when it was damaged."""
    path = reach.private(class_.state) / "secret"
    with lock.held(class_.state / "secret.lock", f"the secret of class {class_.name}", wait=True):
        if not path.exists():
            reach.replace(path, os.urandom(LENGTH))
        found = path.read_bytes()
    if len(found) != LENGTH:
        raise KlabError(
            f"the secret of class {class_.name} is damaged: {len(found)} bytes instead of {LENGTH}",
            step="class: seeds",
            log=path,
            mend="put it back from a backup; without it, gradings get other seeds than before",
        )
    return found


def of(key: bytes, login: str, lab: str) -> int:
    """The seed by which this student's work in this lab is graded, from 0 to 2^31 - 1."""
    digest = hmac.digest(key, f"{login}\0{lab}".encode(), hashlib.sha256)
    return int.from_bytes(digest) % SEEDS
