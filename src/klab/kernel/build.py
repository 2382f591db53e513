# SPDX-License-Identifier: GPL-3.0-or-later
"""From a flavour to its artefact: resolved, proved, compiled, packed and priced."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from klab import store
from klab.kernel import artefact, cached, estimate, fetch, kbuild, outtree, root, source
from klab.kernel import flavour as flavours
from klab.kernel.fragment import Request
from klab.kernel.resolve import resolve
from klab.paths import log_dir


def collect(tree: outtree.Outtree, source_tree: Path, release: str, target: Path) -> list[str]:
    """Put the artefact's files into the folder `target`; returns their names."""
    for name, place in artefact.FILES.items():
        shutil.copy2(tree.out / place, target / name)
    _gdb_scripts(tree.out, source_tree, target / artefact.GDB_SCRIPTS)
    names = [*artefact.FILES, artefact.GDB_SCRIPTS]
    wanted = tuple(f"linux-{part}-{release}_" for part in ("image", "headers"))
    for packed in tree.path.glob("linux-*"):
        if packed.suffix == ".deb" and packed.name.startswith(wanted):
            shutil.move(packed, target / packed.name)
            names.append(packed.name)
        else:
            packed.unlink()
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


def _kept(request: Request) -> dict[str, str]:
    """One symbol of the manifest; an optional one that was dropped says what it became."""
    kept = {"value": request.value, "fragment": request.fragment, "reason": request.reason}
    return kept | ({"dropped": request.became, "optional": request.optional} if request.became else {})


def manifest(
    plan: artefact.Plan, requests: Mapping[str, Request], cost: kbuild.Cost, release: str
) -> dict[str, object]:
    """What the artefact is made of, how it was proved and what it cost."""
    return {
        "flavour": plan.flavour.name,
        "release": release,
        "source": source.facts(plan.flavour.source),
        "symbols": {request.name: _kept(request) for request in requests.values()},
        "inputs": {key: value for key, value in plan.inputs.items() if key != "symbols"},
        "cost": asdict(cost),
        "rebuild": f"klab kernel build --flavour {plan.flavour.name}",
    }


def ensure(name: str, own: Sequence[Path] = ()) -> tuple[store.Entry, bool]:
    """The artefact of a flavour and whether it was made just now."""
    if entry := artefact.find(name, own):
        return entry, False
    flavour = flavours.load(name, own)
    if isinstance(flavour, flavours.Fetched):
        return fetch.ensure(artefact.order(flavour)), True
    tools = root.ready(flavour.toolchain)
    plan = artefact.plan(name, tools.versions, own)
    tree = source.ensure(plan.flavour.source).path / "tree"
    log = log_dir() / f"kernel_build-{name}.log"
    with store.drafting(cached.KIND, plan.digest) as draft, outtree.held(plan, tools) as work:
        requests = resolve(plan.flavour, tools, tree, work.path, log)
        progress = estimate.progress(plan, fresh=work.fresh, jobs=kbuild.jobs())
        cost, release = kbuild.kernel(plan, tools, tree, work, log=log, progress=progress)
        estimate.note(name, cost)
        files = collect(work, tree, release, draft.path)
        entry = draft.publish(manifest(plan, requests, cost, release), files)
    return entry, True


def describe(entry: store.Entry) -> dict[str, object]:
    """The fields of an artefact that people ask for, whether its flavour still exists or not."""
    packages = sorted(str(entry.file(name)) for name in entry.manifest["files"] if name.endswith(".deb"))
    known = {key: entry.manifest[key] for key in ("flavour", "release", "cost")}
    return {
        "digest": entry.digest,
        "path": str(entry.path),
        "packages": packages,
        "files": list(entry.manifest["files"]),
        **known,
    }


def hand_over(entry: store.Entry, name: str) -> dict[str, object]:
    """The same for roles, with the command line that flavour `name` asks for now."""
    return {**describe(entry), "cmdline": list(flavours.load(name).cmdline)}
