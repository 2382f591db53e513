# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a flavour twice from nothing and compare every byte."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from klab import digest as digests
from klab import lock, namespace, store
from klab.kernel import artefact, build, cached, compare, estimate, kbuild, outtree, root, source
from klab.kernel import flavour as flavours
from klab.kernel.resolve import resolve
from klab.paths import cache_dir, log_dir


@dataclass(frozen=True)
class Verdict:
    """What two builds gave. files: SHA-256 by name, of the first; btf: of vmlinux's .BTF.

    cached: whether the artefact in the cache was one of those compared: as the first build
    when it was made from nothing, else as a third. differences: by pair and file, where.
    """

    flavour: str
    digest: str
    files: dict[str, str]
    btf: str
    cached: bool
    costs: list[dict[str, Any]]
    varied: list[str]
    differences: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    reused: bool = False  # whether the first build is the artefact in the cache
    seen: str = ""  # when; empty: now

    @property
    def same(self) -> bool:
        """Whether every byte was the same."""
        return not self.differences

    def _shared(self) -> str:
        first = self.costs[0]
        hits = first.get("hits", 0)
        return f"; {hits} of its {first['objects']} objects were another flavour's, by ccache" if hits else ""

    def lines(self) -> list[str]:
        """The verdict for people."""
        what = f"kernel {self.flavour} {digests.short(self.digest)}"
        third = " and the artefact in the cache" if self.cached and not self.reused else ""
        kept = f" (the first is the artefact in the cache{self._shared()})" if self.reused else ""
        if self.same:
            btf = f"{self.btf}  vmlinux: section .BTF" if self.btf else "no BTF in vmlinux"
            listed = [f"{digest}  {name}" for name, digest in self.files.items()]
            when = f" (seen on {self.seen}; --fresh builds again)" if self.seen else ""
            return [
                f"{what}: two builds from nothing{third} are the same, byte for byte{kept}{when}",
                *listed,
                btf,
            ]
        head = [f"{what} is NOT reproducible: two builds from nothing{third} differ{kept}"]
        for pair, files in self.differences.items():
            for name, places in files.items():
                head += [f"{pair}: {name}", *(f"    {place}" for place in places)]
        return head


def _settings(tools: root.Toolroot) -> tuple[list[kbuild.Setting], list[str]]:
    """Two settings that differ in all that must not matter, and what that is."""
    jobs = kbuild.jobs()
    # Outside a build root (tests) the host's own name would be changed.
    hostname = "; hostname elsewhere" if tools.path else ""
    other = kbuild.Setting(
        jobs + 1, ccache=False, prelude=f"umask 002{hostname}", env={"TZ": "XYZ-14", "USER": "somebody"}
    )
    varied = ["folder", "time of day", "jobs", "umask", "time zone", "user name"]
    return [kbuild.Setting(jobs, ccache=False), other], varied + (["host name"] if hostname else [])


def _proof(digest: str) -> Path:
    return cache_dir() / "proofs" / "reproducible" / f"{digest}.json"


def _known(plan: artefact.Plan) -> Verdict | None:
    """What was seen of this digest, unless the artefact in the cache is another."""
    try:
        kept = Verdict(**json.loads(_proof(plan.digest).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    entry = store.find(cached.KIND, plan.digest)
    same = not entry or all(digests.of_file(entry.file(name)) == known for name, known in kept.files.items())
    return kept if kept.same and same else None


def verify(name: str, *, fresh: bool = False) -> Verdict:
    """Build twice from nothing in folders of their own and compare, also with the cache.

    An artefact in the cache that was compiled in a tree begun for it is the first build;
    fresh: build twice anyway, also when that was seen to be the same before. Takes a cold
    build of time or two. A run that was cut off goes on behind the build that was whole.
    Raises KlabError when one fails. What differs is kept for a closer look, otherwise
    nothing stays.
    """
    tools = root.ready(flavours.built(name).toolchain)
    plan = artefact.plan(name, tools.versions)
    if not fresh and (known := _known(plan)):
        return known
    tree = source.ensure(plan.flavour.source).path / "tree"
    folder = cache_dir() / "work" / f"reproduce-{plan.digest}"
    log = log_dir() / f"kernel_reproduce-{name}.log"
    settings, varied = _settings(tools)
    places = ("first", "second/elsewhere")
    builder = _Builder(plan, tools, tree, log)
    with lock.held(cache_dir() / "locks" / folder.name, f"the comparison of kernel {name}"):
        if fresh:
            namespace.remove(folder)
        made: list[Path] = []
        costs: list[dict[str, Any]] = []
        if not fresh and (entry := from_nothing(name)):
            made, costs = [entry.path], [dict(entry.manifest["cost"])]
        for place, setting in list(zip(places, settings, strict=True))[len(made) :]:
            target = folder / f"{len(made)}"
            costs.append(builder.build(folder / place, target, setting))
            made.append(target)
        verdict = _compared(plan, tools, made, costs, varied)
        for done in folder.glob("*.json"):  # what differs is looked at, and built anew
            done.unlink()
        if verdict.same:
            namespace.remove(folder)
            _proof(plan.digest).parent.mkdir(parents=True, exist_ok=True)
            seen = replace(verdict, seen=time.strftime("%Y-%m-%d %H:%M"))
            _proof(plan.digest).write_text(json.dumps(asdict(seen), indent=2, sort_keys=True) + "\n")
    report = log_dir() / f"kernel_reproduce-{name}.json"
    report.write_text(json.dumps({**asdict(verdict), "same": verdict.same}, indent=2, sort_keys=True) + "\n")
    return verdict


def from_nothing(name: str) -> store.Entry | None:
    """The artefact of a flavour in the cache, if it was begun in an empty tree and compiled there.

    ccache may have given it a few objects that another flavour has, too (see estimate.cold):
    those were compiled in yet another folder at yet another time. The verdict says how many.
    """
    entry = artefact.find(name)
    cost = entry.manifest["cost"] if entry else {}
    return entry if cost.get("misses") and estimate.cold(cost) else None


def _done(target: Path) -> Path:
    """Says that a build is whole, and what it cost."""
    return target.with_suffix(".json")


@dataclass(frozen=True)
class _Builder:
    """Builds a flavour from nothing, as often as it is asked."""

    plan: artefact.Plan
    tools: root.Toolroot
    tree: Path
    log: Path

    def build(self, place: Path, target: Path, setting: kbuild.Setting) -> dict[str, Any]:
        """One build in `place`, its files in `target`, unless a run that was cut off got so far; the cost."""
        if _done(target).is_file():
            return dict(json.loads(_done(target).read_text()))
        namespace.remove(target)
        namespace.remove(place)
        work = outtree.Outtree(place, fresh=True)
        work.out.mkdir(parents=True)
        resolve(self.plan.flavour, self.tools, self.tree, work.path, self.log)
        progress = estimate.progress(self.plan, fresh=True, jobs=setting.jobs)
        cost, release = kbuild.kernel(
            self.plan, self.tools, self.tree, work, log=self.log, progress=progress, setting=setting
        )
        target.mkdir()
        build.collect(work, self.tree, release, target)
        namespace.remove(place)
        draft = target.with_suffix(".new")
        draft.write_text(json.dumps(asdict(cost)))
        draft.replace(_done(target))
        return asdict(cost)


def _compared(
    plan: artefact.Plan,
    tools: root.Toolroot,
    made: list[Path],
    costs: list[dict[str, Any]],
    varied: list[str],
) -> Verdict:
    first, second = made
    names = sorted({path.name for folder in made for path in folder.iterdir()} - {store.MANIFEST})
    pairs = {"first and second": (first, second)}
    entry = store.find(cached.KIND, plan.digest)
    if entry and entry.path != first:
        pairs["first and cache"] = (first, entry.path)
    found = {
        pair: differ
        for pair, (one, other) in pairs.items()
        if (differ := compare.differences(tools, one, other, names))
    }
    return Verdict(
        flavour=plan.flavour.name,
        digest=plan.digest,
        files={name: digests.of_file(first / name) for name in names if (first / name).exists()},
        btf=compare.sections(tools, first / "vmlinux").get(".BTF", ""),
        cached=entry is not None,
        reused=entry is not None and entry.path == first,
        costs=costs,
        varied=varied,
        differences=found,
    )
