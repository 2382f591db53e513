# SPDX-License-Identifier: GPL-3.0-or-later
"""Run what somebody else wrote, natively and harmlessly: bubblewrap in the build root.

A student's Makefile may do anything. Here it has no network, no privilege, no devices, no
other process and no file but its own folder, and it ends: in time, in memory, in processes,
in what it prints and what it writes. Built modules never run here, only in guests.
"""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO

from klab import store
from klab.errors import KlabError
from klab.guest import modules
from klab.kernel import artefact, root
from klab.kernel import flavour as flavours
from klab.run import TIED

STEP = "sandbox"
MAKE_S = 180.0  # seconds for a student's `make`; a module takes ten on a loaded host
ENDED = "was ended: "  # in the error about a command that overran what it may
WORK = "/work"
OUTPUT = 256 << 10  # bytes kept of each stream
FLOOD = 64 << 20  # bytes after which whoever prints them is ended
FOLDER = 512 << 20  # bytes that the folder may hold
FILES = 20_000
FILE = 256 << 20  # bytes of one file
PROCESSES = 256
WATCH_S = 0.25
OBJECTS = "/objects"  # where ccache has its cache, if it may have one
CCACHE = "/usr/lib/ccache"  # Debian's compilers that ask ccache first
# Root's processes are not counted (getrlimit(2)), so root hands over to an id nobody has.
IDS = range(1_900_000_000, 2_000_000_000)
SIGNALLED = 128


@dataclass(frozen=True)
class Said:
    """A finished command. code: its exit status, 128 + n when signal n ended it."""

    code: int
    out: str
    err: str


class _Stream(Thread):
    """Reads a pipe to its end and keeps the beginning."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.pipe = pipe
        self.kept = bytearray()
        self.seen = 0
        self.start()

    def run(self) -> None:
        while chunk := self.pipe.read1(1 << 16):  # type: ignore[attr-defined]
            self.kept += chunk[: max(0, OUTPUT - len(self.kept))]
            self.seen += len(chunk)

    def text(self) -> str:
        """What was kept, and how much was not."""
        more = self.seen - len(self.kept)
        cut = f"\n[{more} bytes more]\n" if more else ""
        return self.kept.decode(errors="replace") + cut


def _binds(tools: Path, kernel: store.Entry | None) -> list[tuple[str, Path]]:
    """(place inside, folder on the host), all read-only: the root's tools, a kernel's headers."""
    usr = tools / "usr"
    pairs = [(f"/usr/{entry.name}", entry) for entry in usr.iterdir() if entry.name not in {"lib", "src"}]
    # One by one, so that a kernel's folders have a place beside them.
    pairs += [
        (f"/usr/lib/{entry.name}", entry) for entry in (usr / "lib").iterdir() if entry.name != "modules"
    ]
    pairs.append(("/etc", tools / "etc"))
    if kernel:
        tree = modules.ensure(kernel)
        pairs.append(("/usr/src", tree / "usr/src"))
        pairs += [(f"/usr/lib/{entry.name}", entry) for entry in (tree / "usr/lib").iterdir()]
    return pairs


def _words(
    tools: Path,
    folder: Path,
    kernel: store.Entry | None,
    command: Sequence[str],
    *,
    shows: Mapping[str, Path],
    objects: Path | None,
) -> list[str]:
    """bubblewrap's words."""
    words = [
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--clearenv",
    ]
    words += ["--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev"]
    words += ["--size", str(64 << 20), "--tmpfs", "/tmp"]  # noqa: S108 - its own, inside
    for place, source in [*_binds(tools, kernel), *shows.items()]:
        words += (
            ["--symlink", str(source.readlink()), place]
            if source.is_symlink()
            else ["--ro-bind", str(source), place]
        )
    for link in ("bin", "sbin", "lib", "lib64"):
        words += ["--symlink", f"usr/{link}", f"/{link}"]
    words += ["--bind", str(folder), WORK]
    words += ["--bind", str(objects), OBJECTS] if objects else []
    words += ["--remount-ro", "/", "--chdir", WORK]
    given = {
        "PATH": "/usr/bin:/usr/sbin",
        "HOME": WORK,
        "LC_ALL": "C.UTF-8",
        "MAKEFLAGS": f"-j{os.cpu_count() or 1}",
    }
    if kernel:
        release = kernel.manifest["release"]
        given |= {"KDIR": f"/lib/modules/{release}/build", "KERNEL_RELEASE": release}
    if objects:
        given |= {"PATH": f"{CCACHE}:{given['PATH']}", "CCACHE_DIR": OBJECTS, "CCACHE_TEMPDIR": "/tmp"}  # noqa: S108 - its own
    for name, value in given.items():
        words += ["--setenv", name, value]
    # Counted per user namespace only from within: outside, a desktop's own threads count too.
    return [*words, "--", "prlimit", f"--nproc={PROCESSES}", "--", *command]


def _limits(memory_mib: int, deadline_s: float) -> list[str]:
    seconds = int(deadline_s) * 2 + 1  # of processor time, for each process
    limits = ["prlimit", f"--as={memory_mib << 20}", f"--cpu={seconds}", f"--fsize={FILE}", "--core=0"]
    return [*limits, "--nofile=1024"]


def _as_nobody(words: list[str], folder: Path, read: Iterable[Path]) -> tuple[list[str], int]:
    """For root: the same, run by an id of its own that may enter only what is shown to it."""
    number = random.choice(IDS)  # noqa: S311 - any that is free will do
    # The cache may lie where only root can go, so it is shown at places that all may enter.
    tops: list[Path] = []
    for path in sorted(set(read)):
        if not any(path.is_relative_to(top) for top in tops):
            tops.append(path)
    shown = {folder: "/run/klab/work"} | {top: f"/run/klab/{n}" for n, top in enumerate(tops)}
    script = "mount -t tmpfs -o mode=755 klab /run; " + "; ".join(
        f"mkdir -p {place}; mount --bind {shlex.quote(str(source))} {place}"
        for source, place in shown.items()
    )
    moved = list(words)
    for source, place in sorted(shown.items(), key=lambda pair: -len(str(pair[0]))):
        moved = [
            place + w.removeprefix(str(source)) if w == str(source) or w.startswith(f"{source}/") else w
            for w in moved
        ]
    user = ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]
    return ["unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh", *user, *moved], number


def _size(folder: Path) -> tuple[int, int]:
    """Bytes and files below a folder that somebody may be writing to."""
    total = count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            count += 1
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - a hot loop
            except OSError:
                continue
    return total, count


def _trouble(began: float, deadline_s: float, folder: Path, streams: Sequence[_Stream]) -> str:
    """Why the command must be ended now, or nothing."""
    if time.monotonic() - began > deadline_s:
        return f"it did not end within {deadline_s:g} s"
    if any(stream.seen > FLOOD for stream in streams):
        return f"it printed more than {FLOOD >> 20} MiB"
    size, count = _size(folder)
    if size > FOLDER or count > FILES:
        return f"it filled its folder: {size >> 20} MiB in {count} files"
    return ""


def run(
    command: Sequence[str],
    *,
    folder: Path,
    kernel: store.Entry | None = None,
    deadline_s: float = 60.0,
    memory_mib: int = 1024,
    toolchain: str = root.GCC,
    shows: Mapping[str, Path] | None = None,
    objects: Path | None = None,
) -> Said:
    """Run a command in `folder`, which it sees as /work, and wait for its end.

    kernel: its headers are in KDIR. memory_mib: of each process. shows: more folders to be
    read, {place inside: folder}, one in another behind it. objects: a folder where ccache
    keeps what was compiled, for other runs: who writes to it is believed by all of them.

    Raises KlabError when the command had to be ended (time, output, disk) or the sandbox
    cannot be made. Root and ordinary users get the same; root's files in `folder` then
    belong to an id of nobody's.
    """
    tools = root.ready(toolchain).path
    if tools is None:
        raise KlabError("there is no sandbox without a build root", step=STEP, mend="unset KLAB_BUILD_ROOT")
    folder = folder.resolve()
    shown = dict(shows or {})
    if objects:
        objects.mkdir(parents=True, exist_ok=True)
    words = [
        *_limits(memory_mib, deadline_s),
        *_words(tools, folder, kernel, command, shows=shown, objects=objects),
    ]
    if os.geteuid() == 0:
        written = [folder, *([objects] if objects else [])]
        read = [tools, *([modules.ensure(kernel)] if kernel else []), *shown.values(), *written[1:]]
        words, owner = _as_nobody(words, folder, read)
        for path in [path for place in written for path in (place, *place.rglob("*"))]:
            os.chown(path, owner, owner, follow_symlinks=False)
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            [*TIED, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise KlabError(f"cannot run {TIED[0]}: {error.strerror}", step=STEP, mend="klab doctor") from None
    assert process.stdout  # noqa: S101 - for mypy; it is a pipe
    assert process.stderr  # noqa: S101 - the same
    streams = [_Stream(process.stdout), _Stream(process.stderr)]
    why = ""
    try:
        while True:
            try:
                process.wait(WATCH_S)
                break
            except subprocess.TimeoutExpired:
                if why := _trouble(began, deadline_s, folder, streams):
                    break
    finally:
        # bubblewrap dies with its parent, and its PID namespace with it.
        process.kill()
        process.wait()
        for stream in streams:
            stream.join(5)
    if why:
        last = streams[1].text()[-500:] or streams[0].text()[-500:]
        raise KlabError(
            f"`{shlex.join(command)}` {ENDED}{why}\n{last}",
            step=STEP,
            mend="look for a loop that never ends",
        )
    out, err = (stream.text() for stream in streams)
    if err.startswith(("bwrap: ", "unshare: ", "setpriv: ", "prlimit: ")):
        raise KlabError(
            f"the sandbox cannot be made: {err.splitlines()[0]}",
            step=STEP,
            mend="klab doctor; user namespaces must be allowed (sysctl kernel.unprivileged_userns_clone)",
        )
    code = process.returncode
    return Said(SIGNALLED - code if code < 0 else code, out, err)


def make(folder: Path, flavour: str, target: str = "", *, objects: Path | None = None) -> Said:
    """`make TARGET` in `folder` against a flavour's headers, with the compiler it was built by.

    target: words for make. objects: as in `run`. Raises what `run` does, and KlabError when the
    kernel is not built.
    """
    toolchain = flavours.load(flavour).toolchain
    return run(
        ["make", *root.wanted(toolchain).make, *target.split()],
        folder=folder,
        kernel=artefact.get(flavour),
        deadline_s=MAKE_S,
        toolchain=toolchain,
        objects=objects,
    )
