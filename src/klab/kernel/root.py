# SPDX-License-Identifier: GPL-3.0-or-later
"""The build root: a Debian toolchain in a folder, and how to run things in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from klab import debtree, namespace, store
from klab import digest as digests
from klab.paths import log_dir, repo_dir
from klab.progress import remember

KIND = "roots"
RECIPE = 1  # raise when this file changes what a root contains
# Packages whose versions can change a kernel's bytes; they go into its digest.
DECISIVE = ("binutils", "dwarves", "gcc-14", "make", "pahole", "zstd", "lz4", "xz-utils")


@dataclass(frozen=True)
class Toolroot:
    """A place where build tools run: a build root, or this host (path None, tests only).

    binds: folders shown inside, {"/inside": host path}.
    """

    path: Path | None
    versions: Mapping[str, str] = field(default_factory=dict)
    binds: Mapping[str, Path] = field(default_factory=dict)

    def with_binds(self, pairs: Mapping[str, Path]) -> Toolroot:
        """The same root with more folders shown inside."""
        return Toolroot(self.path, self.versions, {**self.binds, **pairs})

    def inside(self, name: str) -> str:
        """The path by which tools see the bound folder `name`."""
        return name if self.path else str(self.binds[name])

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        """The command line that runs `argv` there."""
        return namespace.chroot(self.path, argv) if self.path else [str(word) for word in argv]

    def env(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment for `argv`."""
        shown = namespace.binds(self.binds) if self.path and self.binds else {}
        return {**shown, **(extra or {})}


def wanted() -> dict[str, Any]:
    """labs/_kernels/toolchain.yml as data."""
    return dict(yaml.safe_load((repo_dir() / "labs/_kernels/toolchain.yml").read_text()))


def digest() -> str:
    """The digest of what is asked for: suite, packages and this recipe."""
    asked = wanted()
    return digests.of_data([RECIPE, asked["suite"], sorted(asked["packages"])])


def find() -> store.Entry | None:
    """The build root, or None when it must be made."""
    return store.find(KIND, digest())


def ensure() -> store.Entry:
    """The build root, made now unless it is in the cache (about a minute)."""
    if entry := find():
        return entry
    asked = wanted()
    log = log_dir() / "build_root.log"
    with store.drafting(KIND, digest()) as draft:
        tree = draft.path / "tree"
        used = debtree.make(
            asked["suite"], sorted(asked["packages"]), tree, log=log, step="build_root: bootstrap"
        )
        versions = debtree.versions(tree)
        (draft.path / "packages.txt").write_text("".join(f"{n} {v}\n" for n, v in versions.items()))
        entry = draft.publish(
            {
                "suite": asked["suite"],
                "versions": versions,
                "wall_s": used.wall_s,
                "cpu_s": used.cpu_s,
                "rebuild": "klab root build",
            },
            ["packages.txt"],
        )
    remember("build_root", asked["suite"], used.wall_s, used.cpu_s)
    return entry


def on_host() -> bool:
    """Whether this host's own tools are used (KLAB_BUILD_ROOT=host): only for tests
    with a fake kernel tree, never for a kernel."""
    return os.environ.get("KLAB_BUILD_ROOT") == "host"


def _tools(entry: store.Entry) -> Toolroot:
    versions = entry.manifest["versions"]
    return Toolroot(entry.path / "tree", {name: versions[name] for name in DECISIVE if name in versions})


def current() -> Toolroot | None:
    """The tools of the build root that is there, or None when it must be made."""
    if on_host():
        return Toolroot(None, {"host": "tests"})
    entry = find()
    return _tools(entry) if entry else None


def ready() -> Toolroot:
    """The tools of the build root, which is made first unless it is there."""
    return current() or _tools(ensure())
