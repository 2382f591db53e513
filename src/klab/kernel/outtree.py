# SPDX-License-Identifier: GPL-3.0-or-later
"""A flavour's output tree, kept between builds: what did not change is not compiled again.

Kbuild notes for each object the command line and the symbols that it was made from, and
makes it anew when one of them differs. That is sound for whole files, and it tidies up
less than a package needs. So before each use everything else is taken out: what a killed
run left half-written, and what a build from nothing would not have. `klab kernel
verify-reproducible` compares the result with two builds from nothing.
"""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from klab import digest as digests
from klab import lock, namespace
from klab.errors import KlabError
from klab.kernel import artefact, root
from klab.paths import cache_dir

LIMIT_GB = 12  # all kept trees together; each takes one or two
SETTLED_S = 120  # seconds after which what was written is on the disk
ALIKE = 0.1  # share of symbols in which a tree may differ and still be worth a copy
# Made anew at each build, after vmlinux: linked, stripped or filled in after its own
# command was noted (pahole and resolve_btfids write into a finished .ko), or packed.
PRODUCTS = ("vmlinux", ".tmp_vmlinux*", "System.map", "*.ko", "bzImage", "vmlinux.bin*", "kheaders*")
# Packed as they stand, with whatever an earlier config left there: swept for each build.
SWEPT = ("include/generated", "arch/x86/include/generated", "scripts")
TOOLS = ("basic", "kconfig")  # of scripts; not packed


@dataclass(frozen=True)
class Outtree:
    """A folder to build in, its output below `out`. fresh: nothing was compiled in it yet."""

    path: Path
    fresh: bool

    @property
    def out(self) -> Path:
        """The O= of the build."""
        return self.path / "out"


def folder() -> Path:
    """Where the kept trees lie."""
    return cache_dir() / "trees"


def _key(plan: artefact.Plan, tools: root.Toolroot) -> str:
    """What objects depend on and Kbuild does not see: the sources' ages, and all packages."""
    fixed = {name: plan.inputs[name] for name in ("recipe", "source", "toolchain")}
    if tools.path:
        fixed["packages"] = (tools.path.parent / "packages.txt").read_text()
    return digests.short(digests.of_data(fixed))


def _symbols(plan: artefact.Plan) -> dict[str, str]:
    return dict(plan.inputs["symbols"])


def _state(path: Path) -> dict[str, object]:
    try:
        return dict(json.loads((path / "state.json").read_text()))
    except (OSError, ValueError):
        return {}


def _note(path: Path, symbols: Mapping[str, str], *, whole: bool) -> None:
    state = {"whole": whole, "at": time.time(), "symbols": symbols}
    (path / "state.json").write_text(json.dumps(state, sort_keys=True))


def _lost(state: Mapping[str, object]) -> bool:
    """Whether the machine went down while, or just after, the tree was written."""
    began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    at = float(str(state.get("at", 0)))
    return at < began and (not state.get("whole") or at > began - SETTLED_S)


def _matches(name: str) -> bool:
    return any(Path(name).match(pattern) for pattern in PRODUCTS)


def _newer(path: Path, noted: Path) -> bool:
    return noted.exists() and path.lstat().st_mtime_ns > noted.stat().st_mtime_ns


def tidy(out: Path) -> None:
    """Remove products and half-written files from an output folder."""
    namespace.remove(out / "debian")
    for place, _, names in os.walk(out):
        here = Path(place)
        for name in names:
            # Kbuild notes the command when the file is whole; a later change of it was cut off.
            if _matches(name) or _newer(here / name, here / f".{name}.cmd"):
                (here / name).unlink()


def sweep(tree: Outtree) -> None:
    """Set the generated files aside, so that `make prepare` makes those that this config has."""
    aside = tree.path / "before"
    for name in SWEPT:
        source, target = tree.out / name, aside / name
        if target.exists():  # an earlier run was cut off before it put the ages back
            namespace.remove(source)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
    for name in TOOLS:
        if (aside / "scripts" / name).exists():
            (tree.out / "scripts").mkdir(exist_ok=True)
            (aside / "scripts" / name).rename(tree.out / "scripts" / name)
    # make derives autoconf.h before all else only from a .config that is newer than what it derived last.
    (tree.out / ".config").touch()


def put_back_ages(tree: Outtree) -> None:
    """Give each file that came out the same its former age: nothing is newer than it was."""
    aside = tree.path / "before"
    for old in aside.rglob("*"):
        new = tree.out / old.relative_to(aside)
        plain = old.is_file() and not old.is_symlink() and new.is_file() and not new.is_symlink()
        if plain and filecmp.cmp(old, new, shallow=False):
            info = old.stat()
            os.utime(new, ns=(info.st_atime_ns, info.st_mtime_ns))
    namespace.remove(aside)


def _nearest(key: str, symbols: Mapping[str, str]) -> Path | None:
    """A whole tree of another flavour, same source and tools, that differs in few symbols."""
    best: tuple[int, Path] | None = None
    for path in folder().glob(f"*-{key}"):
        state = _state(path)
        other = state.get("symbols")
        if not isinstance(other, dict) or not state.get("whole") or _lost(state):
            continue
        differ = len(set(symbols.items()) ^ set(other.items()))
        if differ <= ALIKE * len(symbols) and (best is None or differ < best[0]):
            best = differ, path
    return best[1] if best else None


def _copy(source: Path, target: Path) -> None:
    """Copy a tree with its ages, unless a run is at work in it."""
    half = target.with_name(f"{target.name}.new")
    namespace.remove(half)
    try:
        with lock.held(_lock(source), source.name):
            subprocess.run(["cp", "-a", "--reflink=auto", source, half], check=True)
    except KlabError:
        return
    half.rename(target)


def _lock(path: Path) -> Path:
    return cache_dir() / "locks" / f"trees-{path.name}"


@contextmanager
def held(plan: artefact.Plan, tools: root.Toolroot) -> Iterator[Outtree]:
    """The tree of a flavour, locked while the block builds in it.

    Raises KlabError when another run is at work in it. A block that fails leaves the
    tree for the next run, which goes on from there.
    """
    name, symbols = plan.flavour.name, _symbols(plan)
    key = _key(plan, tools)
    path = folder() / f"{name}-{key}"
    with lock.held(_lock(path), f"the kernel of flavour {name}"):
        if path.exists() and _lost(_state(path)):
            namespace.remove(path)
        if not path.exists() and (other := _nearest(key, symbols)):
            _copy(other, path)
        fresh = not (path / "out/.config").exists()
        tree = Outtree(path, fresh)
        tree.out.mkdir(parents=True, exist_ok=True)
        _note(path, symbols, whole=False)
        tidy(tree.out)
        yield tree
        tidy(tree.out)
        _note(path, symbols, whole=True)
    make_room(keep=path)


def used(path: Path) -> float:
    """When a tree was last used, in epoch seconds."""
    return (path / "state.json").stat().st_mtime


def flavour(path: Path) -> str:
    """The flavour that a tree is of."""
    return path.name.rpartition("-")[0]


def kept() -> list[Path]:
    """All kept trees, the one used last first."""
    trees = [path for path in folder().glob("*") if (path / "state.json").exists()]
    return sorted(trees, key=used, reverse=True)


def megabytes(path: Path) -> int:
    """The disk space that a tree takes."""
    said = subprocess.run(["du", "-sm", path], capture_output=True, text=True, check=False).stdout
    return int(said.split()[0]) if said else 0


def remove(path: Path) -> bool:
    """Remove a tree, unless a run is at work in it; says whether it is gone."""
    try:
        with lock.held(_lock(path), path.name):
            namespace.remove(path)
    except KlabError:
        return False
    return True


def make_room(keep: Path) -> None:
    """Remove the trees used longest ago until the rest fits LIMIT_GB; `keep` stays."""
    room = LIMIT_GB * 1000 - megabytes(keep)
    for path in kept():
        if path != keep:
            room -= megabytes(path)
            if room < 0:
                remove(path)
