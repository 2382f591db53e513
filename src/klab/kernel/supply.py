# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels for guests, wherever klab runs: from its cache, or on a lab machine what that has installed.

Elsewhere a flavour's digest follows from sources, fragments and tools. A lab machine has none of
them, and its klab does without the modules that read them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from klab import digest as digests
from klab import store
from klab.errors import KlabError
from klab.kernel import cached, root
from klab.paths import laid

BOOT = Path("/boot")
DEBUG = Path("/usr/lib/debug/lib/modules")
MARK = "-klab-"  # in releases, before the flavour
NOTE = "laid.json"
STEP = "guest: find its kernel"


def kernel(flavour: str) -> store.Entry:
    """The kernel of a flavour. Raises KlabError when there is none."""
    if laid():
        return _installed(flavour)
    from klab.kernel import artefact  # noqa: PLC0415 - see above

    return artefact.get(flavour)


def cmdline(flavour: str) -> str:
    """What a flavour wants on its kernel's command line."""
    if place := laid():
        return str(json.loads((place / NOTE).read_text())["flavours"].get(flavour, ""))
    from klab.kernel import flavour as flavours  # noqa: PLC0415 - see above

    return " ".join(flavours.load(flavour).cmdline)


def tools(name: str, binds: Mapping[str, Path]) -> root.Toolroot:
    """A root of tools; on a lab machine the machine itself."""
    if laid():
        return root.Toolroot(None, binds=binds)
    return root.ready(name).with_binds(binds)


def _installed(flavour: str) -> store.Entry:
    """The machine's newest kernel of a flavour, copied to where a student's guests find it."""
    found = [path for path in BOOT.glob(f"vmlinuz-*{MARK}*") if path.name.endswith(f"{MARK}{flavour}")]
    if not found:
        there = sorted({path.name.rpartition(MARK)[2] for path in BOOT.glob(f"vmlinuz-*{MARK}*")})
        raise KlabError(
            f"this machine has no kernel of flavour '{flavour}'",
            step=STEP,
            mend=f"take one that it has: {', '.join(there) or 'none'}; or a guest beside it: --beside",
        )
    source = max(found, key=lambda path: path.stat().st_mtime)
    release = source.name.removeprefix("vmlinuz-")
    seen = source.stat()
    digest = digests.of_data([release, seen.st_size, seen.st_mtime_ns])
    if entry := store.find(cached.KIND, digest):
        return entry
    with store.drafting(cached.KIND, digest, wait=True) as draft:
        if entry := store.find(cached.KIND, digest):
            return entry
        shutil.copyfile(source, draft.path / "bzImage")
        shutil.copyfile(BOOT / f"config-{release}", draft.path / "config")
        if (vmlinux := DEBUG / release / "vmlinux").exists():
            (draft.path / "vmlinux").symlink_to(vmlinux)
        return draft.publish({"flavour": flavour, "release": release}, ["bzImage", "config"])
