# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests kept at the point where they wait for their files: going on from there takes no boot.

The guest's memory is a file, which those that go on map for themselves: they read of it what they
touch, and the host has it in memory once. The state beside it is QEMU's migration stream, without
that memory (its capability x-ignore-shared). Any number go on from one at a time.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from klab import accel, store
from klab import digest as digests
from klab.errors import KlabError
from klab.guest import process, qemu
from klab.machine import console, migration, qmp
from klab.run import tail

KIND = "guests"
NAME = "state"
STEP = "guest: keep"
BOOT_S = 180.0
SAVE_S = 60.0
LOAD_S = 30.0
POLL_S = 0.01


@dataclass(frozen=True)
class Further:
    """How a guest is brought on from where it waits for its files, before it is kept.

    sign: what decides about where it comes to. bring: is given the folder with its ports, and returns
    what the state's manifest notes of it; raises KlabError when the guest does not come so far.
    """

    sign: str
    bring: Callable[[Path], dict[str, str]]


@cache
def _version() -> str:
    """QEMU's version: a state fits no other."""
    done = subprocess.run([accel.QEMU, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def digest(shape: qemu.Shape, kernel: str, further: Further | None = None) -> str:
    """The name of a kept state. kernel: the digest of the kernel's file."""
    facts = {**asdict(shape), "kernel": kernel, "initrd": digests.of_file(shape.initrd), "qemu": _version()}
    facts["disk"] = str(shape.disk)
    words = [
        word.replace(str(shape.kernel), "").replace(str(shape.initrd), "")
        for word in qemu.words(shape, Path("/"))
    ]
    return digests.of_data([facts, words, *([further.sign] if further else [])])


def _sort(shape: qemu.Shape, kernel: store.Entry) -> str:
    """What a newer state supersedes: the same guest on an older kernel of the flavour."""
    size = f"{shape.base} {shape.memory} MiB {shape.cpus} CPU {shape.which}"
    return " ".join([str(kernel.manifest["flavour"]), size, *shape.devices, shape.cpu, shape.cmdline]).strip()


def ensure(shape: qemu.Shape, kernel: store.Entry, further: Further | None = None) -> store.Entry:
    """The state (NAME) of a guest of that shape that waits, made now unless it is in the cache.

    Raises KlabError when the guest does not come so far.
    """
    name = digest(shape, kernel.digest, further)
    if entry := store.find(KIND, name):
        return entry
    began = time.monotonic()
    with (
        store.drafting(KIND, name, wait=True) as draft,
        tempfile.TemporaryDirectory(prefix="klab-guest-") as place,
    ):
        if entry := store.find(KIND, name):  # made while we waited
            return entry
        folder = Path(place)
        with process.guest(qemu.words(shape, folder, memory=draft.path), folder) as running:
            _await(running, folder)
            noted = further.bring(folder) if further else {}
            _save(folder, draft.path / NAME)
        took = round(time.monotonic() - began, 2)
        facts = {"kernel": kernel.digest, "guest": _sort(shape, kernel), "wall_s": took, **noted}
        memories = [*qemu.memories(shape)]
        entry = draft.publish({**facts, "rebuild": "klab guest run --kernel … -- true"}, [NAME, *memories])
        for name in memories:
            # QEMU opens for writing what it maps, also where each writes to pages of its own.
            entry.file(name).chmod(0o600)
        return entry


def _await(running: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until the guest says that it is ready."""
    deadline = time.monotonic() + BOOT_S * accel.patience()
    status = folder / "status"
    while not (status.exists() and status.read_text().strip() == "ready"):
        if running.poll() is not None or time.monotonic() > deadline:
            sign = console.hopeless(console.lines(folder / "console.log"))
            raise KlabError(
                "the guest did not come up: "
                f"{f'{sign.name}: {sign.line}' if sign else 'no word from its init'}\n"
                f"last on its console:\n{console.tail(folder / 'console.log') or tail(folder / 'qemu.log')}",
                step=STEP,
                mend=sign.mend if sign else "klab guest run --fresh shows its whole console",
            )
        time.sleep(0.02)


def _save(folder: Path, target: Path) -> None:
    """Write the state of a guest that waits. Raises KlabError."""
    try:
        qmp.session(
            folder / "qmp", "guest", lambda qemu: migration.save(qemu, target), SAVE_S * accel.patience()
        )
    except qmp.Unanswered as why:
        raise KlabError(
            f"the guest's state could not be kept: {why}", step=STEP, mend="free some space: klab cache list"
        ) from None


def go_on(running: subprocess.Popen[bytes], folder: Path, state: store.Entry) -> None:
    """Let a guest that was started with `incoming` go on from a kept state.

    Returns when QEMU reads it, or has ended. Raises KlabError when it does neither.
    """
    until = time.monotonic() + LOAD_S * accel.patience()
    why: object = "its monitor did not come"
    while running.poll() is None:
        if (folder / "qmp").exists():
            try:
                return qmp.session(
                    folder / "qmp",
                    "guest",
                    lambda qemu: migration.begin(qemu, state.file(NAME)),
                    LOAD_S * accel.patience(),
                )
            except qmp.Unanswered as unanswered:  # it does not listen yet
                why = unanswered
        if time.monotonic() > until:
            raise KlabError(
                f"the guest does not go on from where it was kept: {why}\n{tail(folder / 'qemu.log')}",
                step=STEP,
                mend=f"rm -r {state.path}, and it is kept anew",
            )
        time.sleep(POLL_S)
    return None
