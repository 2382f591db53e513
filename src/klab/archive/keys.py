# SPDX-License-Identifier: GPL-3.0-or-later
"""The key that signs the archive: made once, kept in the state folder, never elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from klab import namespace, run
from klab.archive import place
from klab.errors import KlabError
from klab.kernel.root import Toolroot
from klab.paths import log_dir

ARCHIVE = "/klab/archive"  # the archive's folder as the tools see it
# gpg's agent puts its sockets here, not beside the key; they are gone with the root's /run.
PRELUDE = "set -e; mkdir -p -m 700 /run/user/0; "
OWNER = "klab archive"
PUBLIC = "klab.asc"  # beside the secret key, for whoever is to trust the archive


def home() -> Path:
    """gpg's folder."""
    return place.folder() / "gnupg"


def public_key() -> str:
    """The public key, ASCII-armored. Raises KlabError when there is no key yet."""
    try:
        return (home() / PUBLIC).read_text()
    except FileNotFoundError:
        raise KlabError(
            "the archive has no signing key: nothing has been published yet",
            step="archive: key",
            mend="klab archive publish --flavour lab",
        ) from None


def fingerprint() -> str:
    """The key's fingerprint; empty when there is none yet."""
    try:
        return (home() / "fingerprint").read_text().strip()
    except FileNotFoundError:
        return ""


def ensure(tools: Toolroot, *, new: bool = False) -> str:
    """The fingerprint of the key, which is made when there is none (or a `new` one is asked for).

    A key that is replaced is moved aside. Raises KlabError when there was one and its
    secret part is gone: another key in its place is for a person to decide.
    """
    known = fingerprint()
    if known and not new:
        if not list(home().glob("private-keys-v1.d/*.key")):
            raise KlabError(
                f"the archive's signing key {known} is gone from {home()}",
                step="archive: key",
                mend=f"put {home()} back from a backup; or klab archive publish --new-key,\n"
                "and give each machine the new key (role artifact_store, tasks_from client)",
            )
        return known
    draft = place.work_dir() / "gnupg"
    namespace.remove(draft)
    draft.mkdir(parents=True, mode=0o700)
    bound = tools.with_binds({ARCHIVE: place.folder()})
    there = f"{bound.inside(ARCHIVE)}/work/gnupg"
    script = (
        f"{PRELUDE}export GNUPGHOME={there}; "
        f"gpg --batch --quiet --passphrase '' --quick-generate-key '{OWNER}' ed25519 sign never; "
        f"gpg --batch --with-colons --list-secret-keys >{there}/fingerprint; "
        f"gpg --batch --armor --export >{there}/{PUBLIC}"
    )
    log = log_dir() / "archive_key.log"
    run.logged(bound.argv(["sh", "-c", script]), log=log, step="archive: make the key", env=bound.env())
    listed = re.search(r"^fpr:+([0-9A-F]{40}):$", (draft / "fingerprint").read_text(), re.MULTILINE)
    if not listed:
        raise KlabError("gpg made no key", step="archive: make the key", log=log, mend="read the log")
    (draft / "fingerprint").write_text(f"{listed[1]}\n")
    if home().exists():
        home().rename(place.folder() / f"gnupg-{known[-16:]}")
    draft.rename(home())
    return listed[1]
