# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned kernel sources, verified, unpacked once and patched."""

from __future__ import annotations

import shutil
from typing import Any

from klab import digest as digests
from klab import namespace, run, store
from klab.errors import KlabError
from klab.kernel import root
from klab.kernel.download import FLAVOURS, GET
from klab.kernel.flavour import Source
from klab.kernel.source import patches
from klab.kernel.source.providers import PROVIDERS, STEP
from klab.paths import log_dir
from klab.progress import Progress, remember

KIND = "sources"


def digest(source: Source) -> str:
    """The digest of a source: what it is, what its file must hash to, and its patches.

    Raises KlabError for a patch that does not exist.
    """
    parts: list[Any] = [source.provider, source.id, source.commit or source.sha256]
    if source.patches:
        parts.append(patches.digest(source.patches))
    return digests.of_data(parts)


def facts(source: Source) -> dict[str, Any]:
    """What a manifest tells of a source."""
    pin = {"commit": source.commit} if source.commit else {"sha256": source.sha256}
    named = zip((path.name for path in source.patches), patches.digest(source.patches), strict=True)
    return {"id": source.id, **pin, **({"patches": dict(named)} if source.patches else {})}


def find(source: Source) -> store.Entry | None:
    """The unpacked source, or None."""
    return store.find(KIND, digest(source))


def ensure(source: Source) -> store.Entry:
    """The source tree under `<entry>/tree`, fetched, unpacked and patched unless cached."""
    if entry := find(source):
        return entry
    ready = root.ready()
    log = log_dir() / "kernel_source.log"
    log.unlink(missing_ok=True)
    with store.drafting(KIND, digest(source)) as draft:
        progress = Progress("kernel_source", source.version)
        got, tree = draft.path / "get", draft.path / "tree"
        got.mkdir()
        tree.mkdir()
        package = PROVIDERS[source.provider](source, got, ready, log)
        progress.advance("downloaded and verified; unpacking")
        tools = ready.with_binds({GET: draft.path})
        inside = tools.inside(GET)
        unpack = f"tar -x --strip-components=1 --no-same-owner -C tree -f get/{package.name}"
        if source.provider == "debian":
            unpack = (
                f"dpkg-deb --fsys-tarfile get/{package.name} | tar -xO ./usr/src/{source.package}.tar.xz"
                " | tar -xJ --strip-components=1 --no-same-owner -C tree"
            )
        used = run.logged(
            tools.argv(["bash", "-o", "pipefail", "-c", f"cd {inside} && {unpack}"]),
            log=log,
            step=f"{STEP}: unpack",
            env=tools.env(),
            append=True,
        )
        namespace.remove(got)
        if not (tree / "Makefile").is_file():
            raise KlabError(
                f"{source.id} is no kernel source: it holds no Makefile below its first folder",
                step=f"{STEP}: unpack",
                mend=f"name another file in {FLAVOURS}",
            )
        patches.apply(source.patches, tree, tools, f"{inside}/tree", log)
        # The tree itself is too large to hash at each use; its Makefile stands for it.
        shutil.copy2(tree / "Makefile", draft.path / "Makefile")
        entry = draft.publish({"source": facts(source), "rebuild": "klab source fetch"}, ["Makefile"])
    remember("kernel_source", source.version, used.wall_s, used.cpu_s)
    return entry
