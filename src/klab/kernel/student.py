# SPDX-License-Identifier: GPL-3.0-or-later
"""A student's kernel: anybody's fragment and patch, built in the sandbox, kept by its content.

A patch may change Makefiles and Kconfig, so the kernel's own make runs harmlessly: without
network, with limits, and writing only to a folder that is thrown away. A build begins with
a copy of what a *reference* left, a kernel of the grader's without a patch: output and
ccache. Kbuild compiles what depends on something that differs, ccache what really is
different: a new system call touches a header that most objects include, and changes few.
No build sees what another student's has left.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from klab import digest as digests
from klab import sandbox, store
from klab.errors import KlabError
from klab.kernel import artefact, dotconfig, layers, resolve, root, source
from klab.kernel import flavour as flavours
from klab.paths import cache_dir

KIND, REFERENCE = "students", "references"
RECIPE = 1  # raise when this file changes what comes out
FLAVOUR = "own"
STEP = "kernel: build a student's"
SRC = "/klab/src"
FILES = {name: artefact.FILES[name] for name in ("bzImage", "System.map", "config")}
LEFT = "left.tar"  # of a reference: its whole output, with its ages, and its ccache
BUILD_S = 900.0
REFERENCE_S = 3600.0  # two minutes of a processor, from nothing, when nobody else wants it
RESOLVE_S = 180.0
MEMORY = 2048  # MiB of a compiler


class Refused(KlabError):
    """A kernel that cannot be built from what the student wrote. said: the tools' own words."""

    def __init__(self, what: str, *, mend: str, said: str = "") -> None:
        super().__init__(what, step=STEP, mend=mend)
        self.said = said


@dataclass(frozen=True)
class Wanted:
    """A kernel: fragments upon tinyconfig, and a patch (or none) on the pinned tree.

    base: a reference that its build goes on from; no matter for what comes out.
    """

    fragments: tuple[Path, ...]
    patch: Path | None = None
    base: Wanted | None = None

    @property
    def flavour(self) -> flavours.Built:
        """The flavour `own`, made of these fragments."""
        return flavours.built(FLAVOUR, self.fragments)

    def digest(self, tools: root.Toolroot) -> str:
        """The name of what comes out."""
        flavour = self.flavour
        asked = [[request.name, request.value] for request in flavour.requests().values()]
        patch = digests.of_file(self.patch) if self.patch and self.patch.stat().st_size else ""
        made = [RECIPE, source.digest(flavour.source), flavour.base, asked, dict(tools.versions), patch]
        return digests.of_data(made)


def ensure(wanted: Wanted, *, reference: bool = False) -> store.Entry:
    """The kernel, built now unless it is in the cache: bzImage, System.map, config.

    reference: it is the grader's; what the build leaves is kept, too, for others to go on from.
    Raises Refused when what was written is to blame: a line of the fragment, a symbol that
    Kconfig drops, a patch that does not apply, an error of the compiler, a build without
    end. Raises KlabError when something else is.
    """
    tools = root.ready()
    try:
        name = wanted.digest(tools)
        requests = wanted.flavour.requests()
    except (KlabError, UnicodeDecodeError) as error:
        raise Refused(str(getattr(error, "what", error)), mend=getattr(error, "mend", "")) from None
    kind = REFERENCE if reference else KIND
    if entry := store.find(kind, name):
        return entry
    begin = ensure(wanted.base, reference=True).file(LEFT) if wanted.base else None
    tree = source.ensure(wanted.flavour.source).path / "tree"
    with store.drafting(kind, name, wait=True) as draft, tempfile.TemporaryDirectory(dir=_place()) as folder:
        if entry := store.find(kind, name):  # made while we waited
            return entry
        bench = _Bench(Path(folder, "work"), _shown(tree, wanted, Path(folder)))
        bench.begin(begin)
        resolve.prepare(requests, bench.folder)
        bench.configure(wanted.flavour.base)
        try:
            resolve.prove(requests, bench.config(), src=SRC, work=sandbox.WORK, answer=bench.answer)
        except KlabError as error:
            raise Refused(error.what, mend=error.mend) from None
        bench.build(digests.short(name), REFERENCE_S if reference else BUILD_S)
        for file, place in FILES.items():
            shutil.copyfile(bench.made(place), draft.path / file)
        kept = list(FILES)
        if reference:
            bench.keep(draft.path / LEFT)
            kept.append(LEFT)
        made = " ".join(path.stem for path in wanted.fragments)
        rebuild = "a check of a lab that builds kernels"
        return draft.publish({"fragments": made, "rebuild": rebuild}, kept)


def _place() -> Path:
    place = cache_dir() / "work"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _shown(tree: Path, wanted: Wanted, folder: Path) -> Mapping[str, Path]:
    """The source as the sandbox shows it."""
    before = wanted.base.patch if wanted.base else None
    if not wanted.patch and not before:
        return {SRC: tree}
    try:
        return layers.lay(tree, wanted.patch, folder / "patch", SRC, before=before)
    except layers.Unpatched as error:
        raise Refused(error.what, mend=error.mend) from None


@dataclass(frozen=True)
class _Bench:
    """A build under way. folder: /work of the sandbox; shows: the source."""

    folder: Path
    shows: Mapping[str, Path]

    def begin(self, packed: Path | None) -> None:
        """Lay out what a reference has left."""
        self.folder.mkdir()
        if packed:
            _tar(["-xf", packed, "--no-same-owner"], self.folder)

    def keep(self, target: Path) -> None:
        """Pack the output; pax keeps ages to the nanosecond, by which make goes."""
        _tar(["-cf", target, "--format=pax", "--owner=0", "--group=0", "out", "ccache"], self.folder)

    def configure(self, base: str) -> None:
        """Write the .config."""
        script = resolve.script(base, src=SRC, work=sandbox.WORK)
        said = self.run(["env", "ARCH=x86_64", "sh", "-c", script], RESOLVE_S)
        if said.code:
            raise Refused("Kconfig cannot be read", mend="make tinyconfig", said=f"{said.out}{said.err}")

    def answer(self, argv: list[str]) -> str:
        """What a program prints in the sandbox."""
        return self.run(argv, RESOLVE_S).out

    def config(self) -> dict[str, str]:
        """The .config as it came out."""
        return dotconfig.read_config(self.made(artefact.FILES["config"]).read_text(errors="replace"))

    def build(self, version: str, deadline_s: float) -> None:
        """Compile bzImage. version: what `uname -v` says behind its #."""
        given = {
            "ARCH": "x86_64",
            "KBUILD_BUILD_HOST": "klab",
            "KBUILD_BUILD_USER": "student",
            "KBUILD_BUILD_VERSION": version,
            "KBUILD_BUILD_TIMESTAMP": "@0",
            "CCACHE_DIR": f"{sandbox.WORK}/ccache",
        }
        words = [f"{name}={value}" for name, value in given.items()]
        make = ["make", "-C", SRC, f"O={sandbox.WORK}/out", "LOCALVERSION=-student"]
        said = self.run(["env", *words, *make, "CC=ccache gcc", "bzImage"], deadline_s)
        if said.code:
            raise Refused("the kernel does not compile", mend="make bzImage", said=f"{said.out}{said.err}")

    def run(self, words: Sequence[str], deadline_s: float) -> sandbox.Said:
        """A command in the sandbox."""
        try:
            return sandbox.run(
                words, folder=self.folder, deadline_s=deadline_s, memory_mib=MEMORY, shows=self.shows
            )
        except KlabError as error:
            if sandbox.ENDED not in error.what:
                raise
            raise Refused(error.what, mend=error.mend) from None

    def made(self, place: str) -> Path:
        """A file below out; a hostile build may have put links there, which lead to ours."""
        path = self.folder.resolve() / "out" / place
        if path.is_file() and path.resolve() == path:
            return path
        raise Refused(f"the build has not made {place}", mend="make bzImage")


def _tar(words: Sequence[str | Path], folder: Path) -> None:
    argv = ["tar", *map(str, words)]
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode:
        raise KlabError(
            f"{shlex.join(argv)} ended with {done.returncode}: {done.stderr.strip()[-500:]}",
            step=STEP,
            mend="free some space: klab cache list",
        )
