# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures by the class's own key: whether a file is as klab wrote it (ssh-keygen(1), -Y)."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from klab.classroom import reach
from klab.classroom.model import Class
from klab.errors import KlabError
from klab.machine import keys

STEP = "class: signature"
SIGNER, SPACE = "signer", "klab-gradebook"


def signer(class_: Class) -> Path:
    """The class's signing key; its public half lies beside it as .pub."""
    return keys.pair(reach.private(class_.state) / SIGNER, f"klab-gradebook@{class_.name}", class_.name)


def beside(path: Path) -> Path:
    """Where the signature of a file lies."""
    return path.with_name(f"{path.name}.sig")


def sign(class_: Class, data: bytes) -> bytes:
    """The signature over `data`."""
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(signer(class_)), "-n", SPACE]
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    if done.returncode:
        raise KlabError(
            f"ssh-keygen cannot sign: {done.stderr.decode(errors='replace').strip()}",
            step=STEP,
            log=signer(class_),
            mend="put the key back from a backup, or move it away: a new one is made",
        )
    return done.stdout


def good(data: bytes, signature: bytes, public: Path) -> bool:
    """Whether this is the signature over `data` by the key whose public half is in the file `public`."""
    with tempfile.TemporaryDirectory(prefix="klab-signed-") as name:
        folder = Path(name)
        (folder / "sig").write_bytes(signature)
        (folder / "signers").write_text(f"klab {' '.join(public.read_text().split()[:2])}\n")
        argv: list[str | Path] = [
            "ssh-keygen",
            "-q",
            "-Y",
            "verify",
            "-f",
            folder / "signers",
            "-I",
            "klab",
            "-n",
            SPACE,
        ]
        argv += ["-s", folder / "sig"]
        return subprocess.run(argv, input=data, capture_output=True, check=False).returncode == 0
