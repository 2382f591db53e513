# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of Debian files made by mmdebstrap, as root or without."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from klab import mirror, namespace, run
from klab.errors import KlabError
from klab.progress import Progress


def make(
    suite: str,
    packages: Sequence[str],
    target: Path,
    *,
    log: Path,
    step: str,
    extra: Sequence[str] = (),
) -> run.Result:
    """Bootstrap `suite` with `packages` into the new folder `target`.

    extra: further mmdebstrap options. Raises KlabError with the log's last lines,
    or naming the archive when it cannot be reached.
    """
    # mmdebstrap's own mode unshare maps root to a sub-id; klab-chroot maps it to the user
    # and the sub-ids to the rest. So it runs as root in a namespace of ours, where only
    # the host's /sys cannot be mounted anew.
    argv = [
        "mmdebstrap",
        "--mode=root",
        *([] if namespace.is_root() else ["--skip=chroot/mount/sys"]),
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(packages)}",
        *(f"--aptopt={option}" for option in mirror.apt_options()),
        "--dpkgopt=force-unsafe-io",
        *extra,
        suite,
        str(target),
        *mirror.debian(suite),
    ]
    progress = Progress(step.split(":", maxsplit=1)[0], target.parent.name[:20])
    try:
        return run.logged(
            namespace.wrap(argv, mounts=True),
            log=log,
            step=step,
            mend=f"read {log}; klab doctor checks the archive and the tools",
            on_line=lambda line: (
                progress.advance(line.removeprefix("I: ")) if line.startswith("I: ") else None
            ),
        )
    except KlabError as error:
        raise mirror.unreachable(log, step) or error from None


def versions(tree: Path) -> dict[str, str]:
    """Package names and versions of a tree, in name order."""
    argv = namespace.chroot(tree, ["dpkg-query", "-W", "-f", "${binary:Package} ${Version}\n"])
    said = subprocess.run(argv, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    return dict(sorted(line.split(" ", 1) for line in said.splitlines()))
