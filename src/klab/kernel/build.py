# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile a flavour into packages, with its proof, its log and its price."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from klab import digest as digests
from klab import namespace, run, store
from klab.kernel import artefact, root, source
from klab.kernel import flavour as flavours
from klab.kernel.fragment import Request
from klab.kernel.resolve import SRC, WORK, resolve
from klab.paths import cache_dir, data_file, log_dir
from klab.progress import Progress, remember

CCACHE, SHIMS = "/klab/ccache", "/klab/shims"
_COMPILED = re.compile(r"^\s+(?:CC|AS)(?: \[M\])?\s+(\S+)")


@dataclass(frozen=True)
class Cost:
    """What a build used in this run, and how many objects it compiled."""

    wall_s: float
    cpu_s: float
    objects: int
    resumed: bool


def jobs() -> int:
    """Parallel jobs: one more than usable cores, as long as each has 1.5 GB of memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)) + 1, int(memory / 1.5e9)))


def environment(plan: artefact.Plan, epoch: int) -> dict[str, str]:
    """All that could differ between two machines, fixed; the digest goes into `uname -v`."""
    version = plan.flavour.source.version.split("-")[0]
    stamp = time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime(epoch))
    short = digests.short(plan.digest)
    return {
        "ARCH": "x86_64",
        # The compiler's own dependency files tell what an object was made of: a first
        # build does not run the preprocessor twice.
        "CCACHE_DEPEND": "1",
        "CCACHE_DIR": CCACHE,
        "CCACHE_MAXSIZE": "8G",
        "DEBEMAIL": "klab@localhost",
        "DEBFULLNAME": "klab",
        "DEB_BUILD_PROFILES": "pkg.linux-upstream.nokerneldbg",
        "INSTALL_MOD_STRIP": "1",
        "KBUILD_BUILD_HOST": "klab",
        "KBUILD_BUILD_TIMESTAMP": stamp,
        "KBUILD_BUILD_USER": "klab",
        "KBUILD_BUILD_VERSION": short,
        "KDEB_CHANGELOG_DIST": "klab",
        "KDEB_COMPRESS": "zstd",
        "KDEB_PKGVERSION": f"{version}-{short}",
        "SOURCE_DATE_EPOCH": str(epoch),
    }


def compile_kernel(
    plan: artefact.Plan, tools: root.Toolroot, tree: Path, draft: Path
) -> tuple[dict[str, Request], Cost, str]:
    """Resolve, compile and package in `draft`/out; returns symbols, cost, release.

    Goes on where a run that was cut off stood. Raises KlabError with the log.
    """
    name = plan.flavour.name
    out = draft / "out"
    resumed = (out / ".config").exists()  # resolved by a run that was cut off
    log = log_dir() / f"kernel_build-{name}.log"
    requests = resolve(plan.flavour, tools, tree, draft, log)

    (cache_dir() / "ccache").mkdir(parents=True, exist_ok=True)
    shims = data_file("shims")
    bound = tools.with_binds({SRC: tree, WORK: draft, CCACHE: cache_dir() / "ccache", SHIMS: shims})
    env = bound.env(environment(plan, int((tree / "Makefile").stat().st_mtime)))
    make = f"make -C {bound.inside(SRC)} O={bound.inside(WORK)}/out LOCALVERSION=-klab-{name} CC='ccache gcc'"
    progress = Progress("kernel_build", name, _expected(plan))

    def seen(line: str) -> None:
        if found := _COMPILED.match(line):
            progress.advance(found[1])

    # The path is set inside: the chroot wrapper gives every root the same plain one.
    script = (
        f'set -e; export PATH={bound.inside(SHIMS)}:"$PATH"; '
        f"{make} -j{jobs()} bzImage modules; {make} -s -j{jobs()} bindeb-pkg; "
        f"{make} -s kernelrelease > {bound.inside(WORK)}/out/klab-release"
    )
    used = run.logged(
        bound.argv(["sh", "-c", script]),
        log=log,
        step=f"kernel_build: compile {name}",
        env=env,
        on_line=seen,
        append=True,
        mend="read the log; the next run goes on where this one stood",
    )
    remember("kernel_build", name, used.wall_s, used.cpu_s)
    release = (out / "klab-release").read_text().split()[-1]
    return requests, Cost(used.wall_s, used.cpu_s, progress.done, resumed), release


def _expected(plan: artefact.Plan) -> int:
    """Compilations to expect: as many as last time, at first as the flavour says."""
    for entry in store.entries(artefact.KIND):
        past = entry.manifest
        if past["flavour"] == plan.flavour.name and not past["cost"]["resumed"]:
            return int(past["cost"]["objects"])
    return plan.flavour.objects


def collect(draft: Path, tree: Path, release: str) -> list[str]:
    """Put the artefact's files into `draft` itself; returns their names."""
    out = draft / "out"
    for name, place in artefact.FILES.items():
        shutil.copy2(out / place, draft / name)
    _gdb_scripts(out, tree, draft / artefact.GDB_SCRIPTS)
    names = [*artefact.FILES, artefact.GDB_SCRIPTS]
    for package in draft.glob("linux-*.deb"):
        if package.name.startswith((f"linux-image-{release}_", f"linux-headers-{release}_")):
            names.append(package.name)
        else:
            package.unlink()
    return names


def _gdb_scripts(out: Path, tree: Path, target: Path) -> None:
    """vmlinux-gdb.py and the modules that it imports, as one tar with fixed metadata."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = 0
        info.mode = 0o644
        return info

    with tarfile.open(target, "w", dereference=True) as archive:
        archive.add(tree / "scripts/gdb/vmlinux-gdb.py", "vmlinux-gdb.py", filter=plain)
        modules = {p.name: p for p in (tree / "scripts/gdb/linux").glob("*.py")}
        built = out / "scripts/gdb/linux/constants.py"
        if built.exists():
            modules["constants.py"] = built
        for name, path in sorted(modules.items()):
            archive.add(path, f"scripts/gdb/linux/{name}", filter=plain)


def manifest(
    plan: artefact.Plan, requests: Mapping[str, Request], cost: Cost, release: str
) -> dict[str, object]:
    """What the artefact is made of, how it was proved and what it cost."""
    return {
        "flavour": plan.flavour.name,
        "release": release,
        "source": {"id": plan.flavour.source.id, "sha256": plan.flavour.source.sha256},
        "symbols": {
            r.name: {"value": r.value, "fragment": r.fragment, "reason": r.reason} for r in requests.values()
        },
        "inputs": {key: value for key, value in plan.inputs.items() if key != "symbols"},
        "cost": asdict(cost),
        "rebuild": f"klab kernel build --flavour {plan.flavour.name}",
    }


def ensure(name: str) -> tuple[store.Entry, bool]:
    """The artefact of a flavour and whether it was built just now."""
    if entry := artefact.find(name):
        return entry, False
    tools = root.ready()
    plan = artefact.plan(name, dict(tools.versions))
    tree = source.ensure(plan.flavour.source).path / "tree"
    with store.drafting(artefact.KIND, plan.digest, keep=True) as draft:
        requests, cost, release = compile_kernel(plan, tools, tree, draft.path)
        files = collect(draft.path, tree, release)
        for stray in draft.path.iterdir():
            if stray.name not in files:
                namespace.remove(stray)
        entry = draft.publish(manifest(plan, requests, cost, release), files)
    return entry, True


def describe(entry: store.Entry) -> dict[str, object]:
    """The fields of an artefact that people ask for, whether its flavour still exists or not."""
    packages = sorted(str(entry.file(name)) for name in entry.manifest["files"] if name.endswith(".deb"))
    known = {key: entry.manifest[key] for key in ("flavour", "release", "cost")}
    return {"digest": entry.digest, "path": str(entry.path), "packages": packages, **known}


def hand_over(entry: store.Entry, name: str) -> dict[str, object]:
    """The same for roles, with the command line that flavour `name` asks for now."""
    return {**describe(entry), "cmdline": list(flavours.load(name).cmdline)}
