# SPDX-License-Identifier: GPL-3.0-or-later
"""What role micro_guest lays on a lab machine: klab's code, its libraries and the guests' initramfs.

Nothing of the labs goes along: no grader, no solution, not the engine that runs them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

from klab import libraries, store
from klab.guest import initramfs
from klab.kernel import supply

KIND = "inside"
NAME = "klab-inside.tar.gz"
LIBRARIES = ("click", "qemu.qmp", "yaml")  # each does with Python alone
# Of klab's folders.
LEFT_OUT = {
    "archive",
    "classroom",
    "cli",
    "image",
    "lab",
    "new",
    "promise",
    "spread",
    "testing",
    "__pycache__",
}


def _files() -> dict[str, bytes]:
    """{place: content} of all that is laid."""
    from klab.kernel import flavour as flavours  # noqa: PLC0415 - on a lab machine this is never asked

    cmdlines = {name: " ".join(flavours.load(name).cmdline) for name in flavours.names()}
    files = {supply.NOTE: json.dumps({"flavours": cmdlines}, indent=2).encode()}
    files |= {initramfs.NAME: initramfs.ensure().read_bytes()}
    code = libraries.origin("klab").parent
    for path in sorted(code.rglob("*")):
        inside = path.relative_to(code)
        if path.is_file() and not LEFT_OUT & set(inside.parts):
            files[f"klab/{inside}"] = path.read_bytes()
    for name in LIBRARIES:
        files |= {place: path.read_bytes() for place, path in libraries.files(name)}
    return files


def _archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o644, len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def ensure() -> store.Entry:
    """The archive, made now unless it is in the cache (a second)."""
    packed = _archive(_files())
    digest = hashlib.sha256(packed).hexdigest()
    with store.drafting(KIND, digest, wait=True) as draft:
        if entry := store.find(KIND, digest):
            return entry
        (draft.path / NAME).write_bytes(gzip.compress(packed, mtime=0))
        return draft.publish({"rebuild": "klab guest pack"}, [NAME])
