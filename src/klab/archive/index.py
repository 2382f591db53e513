# SPDX-License-Identifier: GPL-3.0-or-later
"""The apt repository of an edition, made by aptly from the items' packages.

aptly, because a suite of its can hold several versions of one package (reprepro of
Debian 12 and 13 keeps one). Its database is made anew each time and thrown away:
the items are all there is to know, and packages are linked, not copied.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from klab import namespace, run
from klab.archive import keys, place
from klab.errors import KlabError
from klab.kernel.root import Toolroot
from klab.paths import log_dir

SUMS = "SHA256SUMS"
_PUBLISH = (
    # Several kernels of one release differ only by digest, and none of them is "newer":
    # apt installs the version it is told and never changes it by itself.
    "-notautomatic=yes -origin=klab -label=klab -skip-contents -skip-bz2 -batch"
)


def _write_config(draft: Path, inside: str) -> None:
    config = {
        "rootDir": f"{inside}/aptly",
        "architectures": ["amd64"],
        "gpgProvider": "gpg",
        "FileSystemPublishEndpoints": {
            "www": {"rootDir": f"{inside}/www", "linkMethod": "hardlink", "verifyMethod": "md5"}
        },
    }
    (draft / "aptly.conf").write_text(json.dumps(config))


def offered(www: Path) -> set[str]:
    """SHA-256 of each package that an edition's index offers."""
    index = www / f"dists/{place.SUITE}/{place.COMPONENT}/binary-amd64/Packages"
    lines = index.read_text().splitlines()
    return {line.split()[1] for line in lines if line.startswith("SHA256:")}


def build(draft: Path, held: Iterable[place.Item], tools: Toolroot, key: str) -> None:
    """Make `draft`/www a signed repository of the items' packages, and sign SHA256SUMS.

    The sums of what lies there already are in that file; those of the repository are added.

    draft: a folder below the archive's. Raises KlabError with the log, or when the index
    does not offer exactly the items' packages.
    """
    bound = tools.with_binds({keys.ARCHIVE: place.folder()})
    archive = bound.inside(keys.ARCHIVE)
    inside = f"{archive}/{draft.relative_to(place.folder())}"
    _write_config(draft, inside)
    items = [item for item in held if item.packages]
    aptly = f"aptly -config={inside}/aptly.conf"
    parts = [
        f"{keys.PRELUDE}export GNUPGHOME={archive}/gnupg",
        f"{aptly} repo create -distribution={place.SUITE} -component={place.COMPONENT} {place.SUITE}",
        *(f"{aptly} repo add {place.SUITE} {archive}/items/{item.digest}" for item in items),
        f"{aptly} publish repo {_PUBLISH} -architectures=amd64 -gpg-key={key} {place.SUITE} filesystem:www:",
        f"cd {inside}/www",
        f"find dists pool -type f | LC_ALL=C sort | xargs sha256sum >>{SUMS}",
        f"gpg --batch --yes --local-user {key} --armor --detach-sign {SUMS}",
    ]
    log = log_dir() / "archive_publish.log"
    step = "archive: index and sign"
    run.logged(bound.argv(["sh", "-c", "; ".join(parts)]), log=log, step=step, env=bound.env())
    wanted = {package.sha256 for item in items for package in item.packages}
    if offered(draft / "www") != wanted:
        raise KlabError(
            "the repository's index does not offer exactly the packages that were published",
            step=step,
            log=log,
            mend="read what aptly said; what is served stays as it was",
        )
    for left in ("aptly", "aptly.conf"):
        namespace.remove(draft / left)
