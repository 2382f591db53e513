# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel's vmlinux with an index of its names: gdb and crash open it in a third of the time.

gdb writes the index. crash has a gdb of its own, number 10, which reads indexes up to version 8;
of today's version 9 it knows nothing and reads all of the 280 MB. The two differ by one table, that
tells the name and language of main() (gdb, "Index Section Format"), which no kernel has.
"""

from __future__ import annotations

import struct
from pathlib import Path

from klab import digest as digests
from klab import run, store
from klab.errors import KlabError
from klab.kernel import root
from klab.paths import log_dir

KIND = "symbols"
NAME = "vmlinux"
ROOT = "debug"  # of gdb, crash, drgn and makedumpfile
PLACE = "/klab/kernel"  # where these see the folder of a vmlinux
STEP = "kernel: index its symbols"
DRAFT = "/klab/draft"
HEADS = {8: struct.Struct("<6I"), 9: struct.Struct("<7I")}


def version_8(index: bytes) -> bytes:
    """An index of version 9 as one of version 8. Raises KlabError for any other.

    Version 9: its number, then where the lists of compilation units, types, addresses and symbols, the
    table of shortcuts and the constants begin.
    """
    version = int.from_bytes(index[:4], "little")
    if version == 8:
        return index
    if version != 9:
        raise KlabError(
            f"gdb writes indexes of version {version}, which klab cannot turn into 8",
            step=STEP,
            mend="see https://sourceware.org/gdb/current/onlinedocs/gdb.html/Index-Section-Format.html",
        )
    head = HEADS[9].unpack_from(index)
    shortcuts, constants = head[5:]
    less = HEADS[9].size - HEADS[8].size
    places = [place - less for place in head[1:5]]
    begin = HEADS[8].pack(8, *places, constants - less - (constants - shortcuts))
    return begin + index[HEADS[9].size : shortcuts] + index[constants:]


def ensure(kernel: store.Entry) -> Path:
    """The indexed vmlinux of an artefact that has one, made now unless it is in the cache (seconds)."""
    if root.on_host():
        return kernel.file(NAME)  # a fake kernel's
    digest = digests.of_data([kernel.digest, root.digest(ROOT), digests.of_file(Path(__file__))])
    if entry := store.find(KIND, digest):
        return entry.file(NAME)
    with store.drafting(KIND, digest, wait=True) as draft:
        if entry := store.find(KIND, digest):
            return entry.file(NAME)
        tools = root.ready(ROOT).with_binds({PLACE: kernel.path, DRAFT: draft.path})
        log = log_dir() / "kernel_symbols.log"

        def there(script: str) -> None:
            run.logged(tools.argv(["sh", "-ec", script]), log=log, step=STEP, env=tools.env())

        source, place = f"{tools.inside(PLACE)}/{NAME}", tools.inside(DRAFT)
        # One worker: the same input gives the same bytes.
        gdb = "gdb -q -nx -batch -iex 'set auto-load no' -iex 'maint set worker-threads 1'"
        there(f"{gdb} -ex 'file {source}' -ex 'save gdb-index {place}'")
        written = draft.path / f"{NAME}.gdb-index"
        written.write_bytes(version_8(written.read_bytes()))
        section = f"--add-section .gdb_index={place}/{written.name} --set-section-flags .gdb_index=readonly"
        there(f"objcopy {section} {source} {place}/{NAME}")
        written.unlink()
        facts = {"kernel": kernel.digest, "flavour": kernel.manifest["flavour"]}
        facts |= {"rebuild": f"klab kernel debug-package --digest {kernel.digest}"}
        return draft.publish(facts, [NAME]).file(NAME)
