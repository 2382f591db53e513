# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the kernel's own make in an output tree: compile, link, package."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from klab import digest as digests
from klab import run
from klab.errors import KlabError
from klab.kernel import artefact, failure, outtree, root
from klab.kernel.resolve import SRC, WORK
from klab.paths import cache_dir, data_file
from klab.progress import Progress

CCACHE, SHIMS = "/klab/ccache", "/klab/shims"
JOB_BYTES = 1.5e9  # memory that one compiler, or one thread of pahole, may need
COMPILED = re.compile(r"^\s+(?:CC|AS)(?: \[M\])?\s+(\S+)")
HITS = {"direct_cache_hit", "preprocessed_cache_hit"}


@dataclass(frozen=True)
class Cost:
    """What a build used in this run, and how many objects it compiled.

    resumed: objects of an earlier run were there. hits, misses: of ccache.
    """

    wall_s: float
    cpu_s: float
    objects: int
    resumed: bool
    jobs: int = 0
    hits: int = 0
    misses: int = 0


@dataclass(frozen=True)
class Setting:
    """What may differ between two builds without a byte of the result differing.

    ccache_dir: another ccache than the shared one.
    """

    jobs: int
    ccache: bool = True
    ccache_dir: Path | None = None
    prelude: str = ""  # shell commands before make, such as another umask
    env: Mapping[str, str] | None = None


def memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Bytes that a build may take: what is available, or the cgroup's limit when that is less."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    free = int(found[1]) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(free, int(cgroup.read_text()))
    except (OSError, ValueError):  # no such limit, or the word "max"
        return free


def jobs() -> int:
    """Parallel jobs: one more than usable cores, as long as each has JOB_BYTES of memory.

    KLAB_JOBS overrides; raises KlabError when it is no number.
    """
    if asked := os.environ.get("KLAB_JOBS"):
        if not re.fullmatch(r"[1-9]\d{0,3}", asked):
            raise KlabError(
                f"KLAB_JOBS is '{asked}', not a number of jobs",
                step="kernel_build: choose jobs",
                mend="set it to a number from 1 on, or unset it: klab counts cores and memory",
            )
        return int(asked)
    return max(1, min(len(os.sched_getaffinity(0)) + 1, int(memory() / JOB_BYTES)))


def environment(plan: artefact.Plan, epoch: int) -> dict[str, str]:
    """All that could differ between two machines, fixed; the digest goes into `uname -v`."""
    version = plan.flavour.source.version.split("-")[0]
    stamp = time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime(epoch))
    short = digests.short(plan.digest)
    return {
        "ARCH": "x86_64",
        "DEBEMAIL": "klab@localhost",
        "DEBFULLNAME": "klab",
        "DEB_BUILD_PROFILES": "pkg.linux-upstream.nokerneldbg",
        "INSTALL_MOD_STRIP": "1",
        "KBUILD_BUILD_HOST": "klab",
        "KBUILD_BUILD_TIMESTAMP": stamp,
        "KBUILD_BUILD_USER": "klab",
        "KBUILD_BUILD_VERSION": short,
        # Older lines would call fakeroot; we are root in a namespace of our own.
        "KBUILD_PKG_ROOTCMD": "",
        "KDEB_CHANGELOG_DIST": "klab",
        "KDEB_COMPRESS": "zstd",
        "KDEB_PKGVERSION": f"{version}-{short}",
        "SOURCE_DATE_EPOCH": str(epoch),
    }


def _ccache(bound: root.Toolroot) -> dict[str, str]:
    return {
        # The compiler's own dependency files tell what an object was made of: a first
        # build does not run the preprocessor twice.
        "CCACHE_DEPEND": "1",
        "CCACHE_DIR": bound.inside(CCACHE),
        "CCACHE_MAXSIZE": "8G",
        "CCACHE_STATSLOG": f"{bound.inside(WORK)}/ccache.log",
    }


def kernel(
    plan: artefact.Plan,
    tools: root.Toolroot,
    source: Path,
    tree: outtree.Outtree,
    *,
    log: Path,
    progress: Progress,
    setting: Setting | None = None,
) -> tuple[Cost, str]:
    """Compile and package what is configured in `tree`; returns cost and release.

    Raises KlabError that names the cause, with the log.
    """
    chosen = setting or Setting(jobs())
    ccache = chosen.ccache_dir or cache_dir() / "ccache"
    ccache.mkdir(parents=True, exist_ok=True)
    for stray in (*tree.path.glob("linux-*"), *tree.path.glob("ccache.log")):
        stray.unlink()
    bound = tools.with_binds({SRC: source, WORK: tree.path, CCACHE: ccache, SHIMS: data_file("shims")})
    env = environment(plan, int((source / "Makefile").stat().st_mtime))
    env |= {"PAHOLE_JOBS": str(min(chosen.jobs, os.cpu_count() or 1))}
    env |= {**(_ccache(bound) if chosen.ccache else {}), **(chosen.env or {})}
    compiler = shlex.join([*tools.make, f"CC={'ccache ' if chosen.ccache else ''}{tools.cc}"])
    out = f"{bound.inside(WORK)}/out"
    make = (
        f"make -C {bound.inside(SRC)} O={out} LOCALVERSION=-klab-{plan.flavour.name} {compiler}"
        f" -j{chosen.jobs}"
    )

    def seen(line: str) -> None:
        if found := COMPILED.match(line):
            progress.advance(found[1])

    def shell(*commands: str) -> run.Result:
        # The path is set inside: the chroot wrapper gives every root the same plain one.
        head = [f'set -e; export PATH={bound.inside(SHIMS)}:"$PATH"', *filter(None, [chosen.prelude])]
        try:
            return run.logged(
                bound.argv(["sh", "-c", "; ".join([*head, *commands])]),
                log=log,
                step=f"kernel_build: compile {plan.flavour.name}",
                env=bound.env(env),
                on_line=seen,
                append=True,
                mend="read the log; the next run goes on where this one stood",
            )
        except KlabError as error:
            raise failure.named(error, log) from None

    parts = []
    if not tree.fresh:
        outtree.sweep(tree)
        parts.append(shell(f"{make} -s prepare scripts"))
        outtree.put_back_ages(tree)
    parts.append(
        shell(
            f"{make} all",
            f"{make} -s bindeb-pkg",
            f"{make} -s kernelrelease > {out}/klab-release",
        )
    )
    hits, misses = _counts(tree.path / "ccache.log") if chosen.ccache else (0, 0)
    cost = Cost(
        wall_s=round(sum(part.wall_s for part in parts), 2),
        cpu_s=round(sum(part.cpu_s for part in parts), 2),
        objects=progress.done,
        resumed=not tree.fresh,
        jobs=chosen.jobs,
        hits=hits,
        misses=misses,
    )
    return cost, (tree.out / "klab-release").read_text().split()[-1]


def _counts(log: Path) -> tuple[int, int]:
    """ccache's hits and misses, from its log of this build; none when it wrote no log.

    A block for each call: `# source`, then the names of counters. Make also asks the
    compiler for its options, on /dev/null: these calls say nothing.
    """
    try:
        blocks = log.read_text(errors="replace").split("# ")
    except OSError:
        return 0, 0
    calls = [set(block.splitlines()[1:]) for block in blocks if block.split("\n")[0].endswith((".c", ".S"))]
    return sum(bool(call & HITS) for call in calls), sum("cache_miss" in call for call in calls)
