# SPDX-License-Identifier: GPL-3.0-or-later
"""Which types of BPF programs a kernel runs: tried in a guest, kept as data, shown as a page."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from klab import accel, sandbox
from klab import digest as digests
from klab.errors import KlabError
from klab.guest import initramfs, runner
from klab.guest.modules import files as module_files
from klab.kernel import artefact
from klab.kernel import flavour as flavours
from klab.paths import log_dir, repo_dir

STEP = "kernel programs"
SOURCES = "labs/_kernels/bpf"
KEPT = "docs/reference/data/bpf_programs.json"
SHOWN = ("lab", "stock", "rt", "san", "nobtf")
RAN, NOT_TRIED = "ran", "not tried"
PLACE = "klab/bpf"  # there, as the Makefile knows
MODULES = ("sch_ingress", "cls_bpf")  # the kernel asks for them by aliases, which a guest does not know
DEADLINE_S = 300.0
LINE = re.compile(r"(\w+): (ran|no, .+)")

Found = dict[str, Any]  # {"release", "kernel", "date", "programs": {type: what the loader says}}


def built() -> dict[str, tuple[int, bytes]]:
    """Loader, libraries and objects as a guest gets them. Raises KlabError when one is not built."""
    with tempfile.TemporaryDirectory(prefix="klab-bpf-") as name:
        folder = Path(name, "bpf")
        shutil.copytree(repo_dir() / SOURCES, folder)
        said = sandbox.run(["make"], folder=folder, toolchain="bpf", deadline_s=sandbox.MAKE_S)
        if said.code:
            raise KlabError(
                f"the BPF programs are not built: {said.err.strip()[-500:]}",
                step=STEP,
                mend=f"mend {SOURCES}",
            )
        made = [path for path in folder.iterdir() if path.suffix not in {".c", ".h"}]
        return initramfs.contents({f"{PLACE}/{path.name}": path for path in made})


def parse(lines: list[str]) -> dict[str, str]:
    """What the loader says of each type, in its order: `ran`, or `no, ERRNO: REASON`."""
    found = (LINE.fullmatch(line.strip()) for line in lines)
    return {line[1]: line[2] for line in found if line}


def tried(flavour: str) -> Found:
    """Try each type in a guest of that flavour.

    Raises KlabError when the kernel is not built, or the guest is lost half-way.
    """
    kernel = artefact.get(flavour)
    ran = runner.run(
        kernel.file("bzImage"),
        [f"modprobe -aq {' '.join(MODULES)}; /{PLACE}/programs /{PLACE}"],
        which=accel.probe().accel,
        cpus=2,
        cmdline=" ".join(flavours.load(flavour).cmdline),
        files={**module_files(kernel, MODULES), **built()},
        deadline_s=DEADLINE_S,
        keep=log_dir() / f"programs-{flavour}.console",
    )
    said = ran.output.decode(errors="replace")
    programs = parse(said.splitlines())
    if ran.status or not programs:
        raise KlabError(
            f"the loader ended with {ran.status}: {said.strip()[-500:]}", step=STEP, mend=f"mend {SOURCES}"
        )
    facts = {"release": kernel.manifest["release"], "kernel": digests.short(kernel.digest)}
    return {**facts, "date": time.strftime("%F", time.gmtime()), "programs": programs}


def kept(repo: Path) -> dict[str, Found]:
    """What is committed, by flavour."""
    path = repo / KEPT
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write(flavour: str, found: Found) -> bool:
    """Keep a finding with the committed ones; whether that changed them."""
    old = kept(repo_dir())
    new = {**old, flavour: found}
    path = repo_dir() / KEPT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(new, indent=2) + "\n")  # types in the loader's order
    return new != old


def page(found: Mapping[str, Found]) -> Iterator[str]:
    """The lines of docs/reference/bpf-programs.md."""
    names = dict.fromkeys(name for flavour in SHOWN for name in found.get(flavour, {}).get("programs", ()))
    yield from (
        "# BPF program types",
        "",
        "What each [flavour](flavours.md) of the kernel runs. In a guest, a program of each type",
        f"([sources](../../{SOURCES})) is loaded, attached and made to run; *ran* means that it",
        "counted, and that what it does was felt: a packet did not arrive, a connection or an",
        "exec was refused, another scheduler was at work.",
        "",
        "    .venv/bin/klab kernel programs --flavour NAME --write",
        "",
        f"| type | {' | '.join(SHOWN)} |",
        "|---" * (len(SHOWN) + 1) + "|",
    )
    for name in names or (NOT_TRIED,):
        yield f"| {name} | {' | '.join(_word(found.get(flavour), name) for flavour in SHOWN)} |"
    for flavour in SHOWN:
        if one := found.get(flavour):
            yield from (
                "",
                f"## {flavour}",
                "",
                f"{one['release']}, kernel `{one['kernel']}`, {one['date']}.",
            )
            no = {name: said for name, said in one["programs"].items() if said != RAN}
            yield from ("",) if no else ()
            yield from (f"- {name}: {said}" for name, said in no.items())


def _word(one: Found | None, name: str) -> str:
    return str((one or {}).get("programs", {}).get(name, NOT_TRIED)).partition(",")[0]
