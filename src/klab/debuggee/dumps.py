# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of debuggees: taken by a capture kernel or by QEMU, kept, and listed. crash.py opens them.

Each is a folder in the state directory, <debuggee>/<UTC time>, with `vmcore` in the compressed format
of kdump and `dump.json`. None is ever deleted by klab.
"""

from __future__ import annotations

import json
import shutil
import struct
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from klab import run, store
from klab.debuggee import kdump, monitor
from klab.debuggee.model import STEP, Debuggee
from klab.errors import KlabError
from klab.kernel import cached, supply, symbols
from klab.paths import log_dir, state_dir, tilde

HEADER = 64  # bytes of an ELF file's header
PANIC, LIVE = "panic", "live"
VMCORE, FILE = "vmcore", "dump.json"
LIVE_S = 120.0
# What a dump leaves out: pages of zeros, of the page cache, of programs, and free ones (makedumpfile(8)).
LEVEL = "31"
PLACE, SOURCE = "/klab/dump", "/klab/source"


@dataclass(frozen=True)
class Dump:
    """A dump on this computer. size in bytes; taken: epoch seconds; how: PANIC or LIVE."""

    debuggee: str
    name: str
    flavour: str
    kernel: str
    release: str
    how: str
    size: int
    taken: int

    @property
    def vmcore(self) -> Path:
        """The dump itself."""
        return place(self.debuggee) / self.name / VMCORE

    def artefact(self) -> store.Entry:
        """The kernel that it is a dump of. Raises KlabError when the cache has it no more."""
        return cached.get(self.kernel, self.flavour, f"the dump {self.name}", STEP)

    @property
    def told(self) -> str:
        """It in a line, for people."""
        when = time.strftime("%F %T", time.localtime(self.taken))
        return f"{self.name}  {self.how:<6} {when}  {self.size >> 20:>5} MiB  {self.release}"


def place(debuggee: str) -> Path:
    """Where a debuggee's dumps lie; they outlive it."""
    return state_dir() / "dumps" / debuggee


def listed(debuggee: str) -> list[Dump]:
    """Its dumps, the newest last."""
    found = []
    for path in sorted(place(debuggee).glob(f"*/{FILE}")):
        try:
            found.append(Dump(**json.loads(path.read_text())))
        except (ValueError, TypeError):
            continue  # of another version of klab
    return found


def get(debuggee: str, name: str = "") -> Dump:
    """A dump by the beginning of its name, the newest without one.

    Raises KlabError when there is none, or it is not whole.
    """
    found = [each for each in listed(debuggee) if each.name.startswith(name)]
    if not found:
        raise KlabError(
            f"there is no dump {name or 'of ' + debuggee}".rstrip(),
            step=STEP,
            mend="klab dump list shows them; klab dump take takes one",
        )
    dump = found[-1]
    size = dump.vmcore.stat().st_size if dump.vmcore.exists() else 0
    if size != dump.size:
        raise KlabError(
            f"the dump {dump.name} is not whole: {size} of {dump.size} bytes",
            step=STEP,
            log=dump.vmcore,
            mend="copy it again, or take another one: klab dump take",
        )
    return dump


def room(memory: int) -> None:
    """Raise KlabError when the disk has no room for a dump of a guest with `memory` MiB."""
    folder = state_dir()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free >> 20
    if free < 2 * memory:
        raise KlabError(
            f"{tilde(folder)} has {free} MiB free, a dump may want {2 * memory} for a while",
            step=STEP,
            mend=f"remove old dumps below {tilde(state_dir() / 'dumps')}; klab cache list",
        )


def _ordered(source: Path, options: Sequence[str], folder: Path) -> None:
    """`makedumpfile` from `source` into the folder's vmcore. Raises KlabError with what it said."""
    tools = supply.tools(symbols.ROOT, {PLACE: folder, SOURCE: source.parent})
    given, made = f"{tools.inside(SOURCE)}/{source.name}", f"{tools.inside(PLACE)}/{VMCORE}"
    # What was flattened (-R) is read from standard input.
    words = f"makedumpfile {' '.join(options)} {f'{made} <{given}' if '-R' in options else f'{given} {made}'}"
    log = log_dir() / "debuggee-dump.log"
    run.logged(tools.argv(["sh", "-c", words]), log=log, step=f"{STEP}: order the dump", env=tools.env())


def _keep(debuggee: Debuggee, how: str, source: Path, options: Sequence[str]) -> Dump:
    """Make a dump out of what was written; it appears whole or not at all."""
    taken = int(source.stat().st_mtime)
    name = time.strftime("%Y%m%d-%H%M%S", time.gmtime(taken))
    final = place(debuggee.name) / name
    draft = final.with_name(f".{name}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    _ordered(source, options, draft)
    release = str(debuggee.artefact().manifest["release"])
    size = (draft / VMCORE).stat().st_size
    dump = Dump(debuggee.name, name, debuggee.flavour, debuggee.kernel, release, how, size, taken)
    (draft / FILE).write_text(json.dumps(asdict(dump), indent=2, sort_keys=True) + "\n")
    shutil.copyfile(debuggee.console, draft / "console.log")
    draft.rename(final)
    return dump


def collect(debuggee: Debuggee) -> Dump | None:
    """Keep what a capture kernel has written; None when it wrote nothing.

    Raises KlabError when it could not write, or what it wrote cannot be read.
    """
    wrote = kdump.dumped(debuggee)
    if wrote is None:
        return None
    source = debuggee.folder / "results"
    if not wrote:
        raise KlabError(
            f"{debuggee.name} crashed, and no dump of it could be written",
            step=STEP,
            log=debuggee.console,
            mend="read the end of its console; give it more memory: klab debuggee up --kdump --crashkernel",
        )
    dump = _keep(debuggee, PANIC, source, ["-R"])
    source.unlink()
    (debuggee.folder / "status").unlink()
    return dump


def _mend(elf: Path) -> None:
    """Put an ELF file's program headers right behind its header, where makedumpfile looks for them.

    QEMU 7 lays section headers in between, that nobody needs, and gives a wrong size of the header
    (elf(5): e_phoff, e_shoff, e_ehsize, e_phentsize, e_phnum, and the three fields of sections).
    """
    elf.chmod(0o600)
    with elf.open("r+b") as stream:
        header = bytearray(stream.read(HEADER))
        (at,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        stream.seek(at)
        segments = stream.read(size * count)
        struct.pack_into("<QQ", header, 32, HEADER, 0)
        struct.pack_into("<HHHHHH", header, 52, HEADER, size, count, 0, 0, 0)
        stream.seek(0)
        stream.write(header + segments)


def live(debuggee: Debuggee) -> Dump:
    """A dump of a debuggee in whatever state it is; QEMU stops it for that time."""
    room(debuggee.memory)
    raw = debuggee.folder / "memory.elf"
    try:
        monitor.ask(
            debuggee,
            "dump-guest-memory",
            patience_s=LIVE_S,
            **{"paging": False, "protocol": f"file:{raw}"},
        )
        _mend(raw)
        return _keep(debuggee, LIVE, raw, ["-l", "-d", LEVEL])
    finally:
        raw.unlink(missing_ok=True)
