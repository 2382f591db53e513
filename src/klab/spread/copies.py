# SPDX-License-Identifier: GPL-3.0-or-later
"""Artefacts of this computer's cache, copied to a hypervisor's: once, resumed where they were cut off.

rsync sends what is not in its place there yet. The klab there compares every file with its
manifest before anything is used, and removes what is wrong.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from klab import digest as digests
from klab import incoming, lock, store
from klab.errors import KlabError
from klab.guest import initramfs
from klab.image import plan
from klab.kernel import cached
from klab.machine import initrd
from klab.paths import cache_dir, log_dir
from klab.run import FULL, tail
from klab.spread.there import PYTHON, SILENT, There

STEP = "hypervisor: bring kernel and image"
LAYS = 'set -e; mkdir -p "$1"; cat >"$1/$2.new"; mv "$1/$2.new" "$1/$2"'
MIB = 1 << 20
OPEN = "playbooks/classroom_open.yml, without --limit, makes it"
AGAIN = "then the same again: it goes on from here"
HASH_S = 1800.0  # for gigabytes on a slow disk
STALLED_S = 120
LOCK = "lock"  # in the folder of a copy: one rsync at a time writes there
NO_REASON = re.compile(r"# to repeat|rsync error|rsync: connection unexpectedly closed")
SSH_LOST = (10, 12, 30, 35, 255)  # rsync(1): socket, stream, timeouts, and ssh's own


@dataclass(frozen=True)
class Missing:
    """An artefact that a hypervisor lacks. folder: there, for its files; bytes: still to come."""

    entry: store.Entry
    folder: str
    bytes: int

    @property
    def name(self) -> str:
        """Kind and digest, for people."""
        return f"{self.entry.kind} {digests.short(self.entry.digest)}"


@dataclass(frozen=True)
class Plan:
    """What is to be brought. room: bytes that are free there."""

    missing: tuple[Missing, ...]
    room: int

    @property
    def bytes(self) -> int:
        """What all of it takes of the disk there."""
        return sum(one.bytes for one in self.missing)


def parts(kernel: str, image: str) -> list[store.Entry]:
    """The artefacts of which a machine with this kernel and image is made, by their digests.

    Raises KlabError when one is not in this computer's cache.
    """
    found = []
    for kind, digest in ((cached.KIND, kernel), (plan.IMAGES, image)):
        entry = store.find(kind, digest)
        if entry is None:
            raise KlabError(f"{kind} {digests.short(digest)} is not in the cache", step=STEP, mend=OPEN)
        found.append(entry)
    for path in filter(None, [initrd.ensure(found[0])]):
        # The one is made of the other, and its digest follows from that.
        for kind, digest in (
            (initramfs.KIND, initramfs.ensure().parent.name),
            (initrd.KIND, path.parent.name),
        ):
            found.append(store.Entry(kind, digest, cache_dir() / kind / digest, {}))
    return found


def _name(entry: store.Entry) -> str:
    return f"{entry.kind}/{entry.digest}"


def _size(entry: store.Entry) -> int:
    """Bytes of its files on the disk; of a sparse one, what it really takes."""
    return sum(path.stat().st_blocks * 512 for path in entry.path.iterdir())


def all_of(entries: Sequence[store.Entry]) -> Plan:
    """What a computer lacks that has no klab."""
    return Plan(tuple(Missing(entry, "", _size(entry)) for entry in entries), 0)


def look(there: There, entries: Sequence[store.Entry]) -> Plan:
    """What of it the klab there lacks. Raises KlabError."""
    words = [word for entry in entries for word in ("--entry", _name(entry))]
    said = there.klab(["cache", "incoming", *words], deadline_s=HASH_S)
    by_name = {_name(entry): entry for entry in entries}

    def missing(one: dict[str, Any]) -> Missing:
        entry = by_name[one["entry"]]
        return Missing(entry, one["folder"], max(0, _size(entry) - one["laid"]))

    return Plan(tuple(missing(one) for one in said["entries"] if not one["present"]), said["room"])


def bring(there: There, entries: Sequence[store.Entry]) -> Plan:
    """Copy what is missing; what it was. One run of this computer at a time for each hypervisor.

    Raises KlabError, with numbers when it does not fit there.
    """
    with lock.held(cache_dir() / "locks" / f"to-{there.name}", f"what {there.name} lacks", wait=True):
        wanted = look(there, entries)
        if wanted.bytes > wanted.room:
            raise _full(there, wanted)
        for one in wanted.missing:
            _send(there, one, wanted)
            try:
                _adopt(there, one)
            except KlabError as error:
                if error.step != incoming.STEP:
                    raise
                # The rest of another build of the same digest, or a bad disk: what was wrong is gone now.
                _send(there, one, wanted)
                _adopt(there, one)
    return wanted


def _adopt(there: There, one: Missing) -> None:
    there.klab(["cache", "adopt", "--entry", _name(one.entry)], deadline_s=HASH_S)


def _send(there: There, one: Missing, wanted: Plan) -> None:
    """Lay the artefact's files in its folder there."""
    manifest = one.entry.file(store.MANIFEST).read_bytes()
    done = there.run(LAYS, one.folder, store.MANIFEST, send=manifest)
    if done.returncode:
        raise _failed(there, done.stderr, wanted, one)
    if not shutil.which("rsync"):
        raise KlabError("rsync is not installed", step=STEP, mend="apt-get install rsync")
    host = f"[{there.address}]" if ":" in there.address else there.address
    # Not --append, which saves a look at what is there: with --sparse, rsync 3.5.0 spoils files by it.
    argv = ["rsync", "--recursive", "--inplace", "--sparse", "--compress", "--chmod=D755,F644", "--stats"]
    argv += [f"--timeout={STALLED_S}", f"--exclude=/{store.MANIFEST}", "--rsh", shlex.join(there.ssh)]
    # What was cut off may live on for a while at the other end, and write where this one goes on.
    alone = [
        "env",
        "LC_ALL=C.UTF-8",
        "flock",
        "--timeout",
        str(2 * STALLED_S),
        f"{one.folder}/{LOCK}",
        "rsync",
    ]
    argv += ["--rsync-path", shlex.join(alone)]
    argv += [f"{one.entry.path}/", f"{host}:{one.folder}/"]
    log = log_dir() / f"to-{there.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        out.write(f"# to repeat: {shlex.join(argv)}\n")
        out.flush()
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        null = subprocess.DEVNULL
        code = subprocess.run(argv, stdin=null, stdout=out, stderr=out, env=env, check=False).returncode
    if code:
        raise _failed(there, tail(log), wanted, one, code)


def _full(there: There, wanted: Plan) -> KlabError:
    return there.error(
        f"its cache has {wanted.room // MIB} MiB of room, and {wanted.bytes // MIB} MiB are to come:"
        f" {', '.join(one.name for one in wanted.missing)}",
        f"free some space there, or remove what is old: {there.login} {PYTHON} -m klab cache prune; {AGAIN}",
        STEP,
    )


def _failed(there: There, said: str, wanted: Plan, one: Missing, code: int = 0) -> KlabError:
    """Why a copy ended early."""
    if FULL.search(said):
        now = look(there, [one.entry for one in wanted.missing])
        return _full(there, now)
    lines = [line for line in said.splitlines() if line and not NO_REASON.match(line)]
    why = (lines or said.splitlines() or ["no reason given"])[0]
    mend = (
        f"{SILENT}; then the same again: it goes on from here" if code in SSH_LOST else "then the same again"
    )
    error = there.error(f"the copy of {one.name} was cut off: {why}", mend, STEP)
    error.log = str(log_dir() / f"to-{there.name}.log")
    return error
