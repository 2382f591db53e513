# SPDX-License-Identifier: GPL-3.0-or-later
"""The debug symbols of a cached kernel as a package, made once at this computer's speed.

vmlinux is 300 MB; packed it is a third, which an emulated machine with ssh feels.
"""

from __future__ import annotations

from pathlib import Path

from klab import digest as digests
from klab import store
from klab.archive import debug
from klab.errors import KlabError
from klab.kernel import cached, root, symbols

KIND = "debugs"


def ensure(digest: str) -> Path | None:
    """The debug package of the kernel with that digest; None when it has no vmlinux.

    Raises KlabError when the kernel is not in the cache or cannot be packed.
    """
    kernel = store.find(cached.KIND, digest)
    if kernel is None:
        raise KlabError(
            f"the kernel {digest} is not in the cache", step="kernel: debug package", mend="klab kernel build"
        )
    recipe = [digests.of_file(path) for path in (Path(debug.__file__), debug.MENDS, Path(symbols.__file__))]
    named = digests.of_data([kernel.digest, *recipe])
    if entry := store.find(KIND, named):
        return entry.file(next(iter(entry.manifest["files"])))
    release = kernel.manifest["release"]
    image = next(kernel.path.glob(f"linux-image-{release}_*.deb"))
    with store.drafting(KIND, named) as draft:
        package = debug.pack(kernel, image, root.ready(), draft.path)
        if package is None:
            return None
        facts = {"kernel": kernel.digest, "flavour": kernel.manifest["flavour"]}
        facts |= {"rebuild": f"klab kernel debug-package --digest {digest}"}
        return draft.publish(facts, [package.name]).file(package.name)
