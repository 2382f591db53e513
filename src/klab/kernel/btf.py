# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of a kernel that was built without them, made from its debug information by pahole."""

from __future__ import annotations

import shutil
from pathlib import Path

from klab import digest as digests
from klab import sandbox, store
from klab.errors import KlabError

KIND = "btfs"
NAME = "btf"
STEP = "kernel: types from debug information"
ENCODE_S, ENCODE_MIB = 300.0, 4096


def ensure(kernel: store.Entry) -> Path:
    """The BTF file of a kernel's vmlinux, made now unless it is in the cache (seconds).

    Raises KlabError when pahole refuses that vmlinux.
    """
    digest = digests.of_data([1, kernel.digest])
    with store.drafting(KIND, digest, wait=True) as draft:
        if entry := store.find(KIND, digest):
            return entry.file(NAME)
        made = draft.path / "made"
        made.mkdir()
        said = sandbox.run(
            ["pahole", "-j2", f"--btf_encode_detached={sandbox.WORK}/{NAME}", "/kernel/vmlinux"],
            folder=made,
            shows={"/kernel": kernel.path},
            deadline_s=ENCODE_S,
            memory_mib=ENCODE_MIB,
        )
        if said.code:
            raise KlabError(
                f"there are no types of {kernel.manifest['flavour']}: {said.err[-500:]}",
                step=STEP,
                mend="klab kernel build makes its vmlinux again",
            )
        # Root's sandbox leaves files to an id of nobody's.
        shutil.copyfile(made / NAME, draft.path / NAME)
        shutil.rmtree(made)
        facts = {"kernel": kernel.digest, "flavour": kernel.manifest["flavour"]}
        return draft.publish({**facts, "rebuild": "klab contract ebpf/filemon-core"}, [NAME]).file(NAME)
