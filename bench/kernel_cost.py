#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a flavour's config costs, against the kernel's own default for a KVM guest.

Builds in turn, in the build root and without ccache:
  reference   x86_64_defconfig + kvm_guest.config + BTF
  flavour     labs/_kernels/flavours.yml
and prints CPU seconds, compilations and the ratio as JSON. About 40 minutes on two
cores; give it the machine for itself.

Run: .venv/bin/python bench/kernel_cost.py [FLAVOUR]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from klab import run
from klab.kernel import flavour as flavours
from klab.kernel import resolve, root, source
from klab.kernel.kbuild import jobs
from klab.paths import log_dir

REFERENCE = (
    "mkdir -p /klab/work/out; make -s -C /klab/src O=/klab/work/out x86_64_defconfig kvm_guest.config;"
    " /klab/src/scripts/config --file /klab/work/out/.config -e BPF_SYSCALL -d DEBUG_INFO_NONE"
    " -e DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT -e DEBUG_INFO_BTF;"
    " make -s -C /klab/src O=/klab/work/out olddefconfig;"
    " grep -q ^CONFIG_DEBUG_INFO_BTF=y /klab/work/out/.config"
)


def compile_in(tools: root.Toolroot, tree: Path, out: Path, name: str, prepare: str) -> dict[str, float]:
    """Compile what stands in `out`; returns CPU and wall seconds and compilations."""
    bound = tools.with_binds({resolve.SRC: tree, resolve.WORK: out})
    seen = 0

    def count(line: str) -> None:
        nonlocal seen
        seen += line.lstrip().startswith(("CC ", "AS "))

    script = f"set -e; {prepare} make -C /klab/src O=/klab/work/out -j{jobs()} bzImage modules"
    used = run.logged(
        bound.argv(["sh", "-c", script]),
        log=log_dir() / f"bench-kernel_cost-{name}.log",
        step=f"bench: {name}",
        env=bound.env(),
        on_line=count,
    )
    return {"cpu_s": used.cpu_s, "wall_s": used.wall_s, "compilations": seen}


def main() -> None:
    """Build both and print the comparison."""
    name = sys.argv[1] if len(sys.argv) > 1 else "lab"
    flavour = flavours.load(name)
    tools = root.ready()
    tree = source.ensure(flavour.source).path / "tree"
    with TemporaryDirectory(prefix="klab-bench-") as folder:
        out = Path(folder)
        reference = compile_in(tools, tree, out, "reference", REFERENCE + ";")
    with TemporaryDirectory(prefix="klab-bench-") as folder:
        out = Path(folder)
        resolve.resolve(flavour, tools, tree, out, log_dir() / "bench-resolve.log")
        ours = compile_in(tools, tree, out, name, "")
    ratio = round(ours["cpu_s"] / reference["cpu_s"], 3)
    command = f".venv/bin/python bench/kernel_cost.py {name}"
    print(json.dumps({"command": command, "reference": reference, name: ours, "ratio": ratio}, indent=2))


if __name__ == "__main__":
    main()
