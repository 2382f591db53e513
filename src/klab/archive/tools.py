# SPDX-License-Identifier: GPL-3.0-or-later
"""The root in which the archive is made: aptly, gpg and dpkg-deb; the host needs none of them."""

from __future__ import annotations

from klab import debtree, store
from klab import digest as digests
from klab.kernel import root
from klab.paths import log_dir
from klab.progress import remember

# apt and dpkg are in every root; gpg makes and uses keys through its agent.
PACKAGES = ("aptly", "gpg", "gpg-agent")
RECIPE = 1  # raise when this file changes what the root contains


def ready() -> root.Toolroot:
    """The tools, in a root that is made now unless it is in the cache (half a minute)."""
    suite = str(root.wanted()["suite"])
    digest = digests.of_data(["archive", RECIPE, suite, PACKAGES])
    entry = store.find(root.KIND, digest)
    if entry is None:
        step = "archive: make the tools' root"
        with store.drafting(root.KIND, digest) as draft:
            used = debtree.make(
                suite, PACKAGES, draft.path / "tree", log=log_dir() / "archive_root.log", step=step
            )
            versions = debtree.versions(draft.path / "tree")
            (draft.path / "packages.txt").write_text("".join(f"{n} {v}\n" for n, v in versions.items()))
            facts = {"suite": suite, "toolchain": "archive", "versions": versions}
            entry = draft.publish({**facts, "rebuild": "klab archive publish"}, ["packages.txt"])
        remember("archive", "root", used.wall_s, used.cpu_s)
    return root.Toolroot(entry.path / "tree", entry.manifest["versions"])
