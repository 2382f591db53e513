# SPDX-License-Identifier: GPL-3.0-or-later
"""What is laid into a promise's guest: modules, BPF objects, programs with their libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from klab import digest as digests
from klab import run, store
from klab.errors import KlabError
from klab.guest import modules
from klab.guest.initramfs import DATA, PROGRAM
from klab.kernel import root
from klab.paths import log_dir
from klab.promise import model

KIND = "probes"
STEP = "kernel observe: build probes"
WORK, PROBE = "/klab/probes", "klab/probe"
LLVM = "llvm"  # the root whose clang and bpftool the BPF promises use


def _name(promise: str) -> str:
    return f"klab_{promise.replace('-', '_')}"


def _sources() -> dict[str, Path]:
    """All probe modules: {promise: module.c}. They are compiled together, in one go of make."""
    found = {name: model.promises_dir() / name / model.MODULE for name in model.names()}
    return {name: path for name, path in found.items() if path.is_file()}


def ensure(kernel: store.Entry, toolchain: str) -> store.Entry:
    """The probe modules compiled against that kernel's headers, unless they are in the cache.

    Raises KlabError when the kernel came without headers or one does not compile.
    """
    sources = _sources()
    tools = root.ready(toolchain)
    versions = dict(tools.versions)
    digest = digests.of_data(
        [kernel.digest, versions, {n: digests.of_file(path) for n, path in sources.items()}]
    )
    if entry := store.find(KIND, digest):
        return entry
    release = kernel.manifest["release"]
    tree = modules.ensure(kernel)
    headers = tree / "usr/src" / f"linux-headers-{release}"
    if not headers.is_dir():
        raise KlabError(
            f"the artefact of kernel {release} holds no headers, so no module can be built for it",
            step=STEP,
            mend="add its linux-headers packages to the flavour",
        )
    log = log_dir() / f"probes-{digests.short(kernel.digest)}.log"
    with store.drafting(KIND, digest) as draft:
        for name, path in sources.items():
            shutil.copy2(path, draft.path / f"{_name(name)}.c")
        objects = " ".join(f"{_name(name)}.o" for name in sources)
        (draft.path / "Makefile").write_text(f"obj-m := {objects}\n")
        # Debian's headers name each other and their tools by absolute paths.
        absolute = ["usr/src", *(f"usr/lib/{path.name}" for path in tree.glob("usr/lib/linux-kbuild-*"))]
        bound = tools.with_binds({WORK: draft.path, **{f"/{place}": tree / place for place in absolute}})
        make = (
            f"make -C {bound.inside('/usr/src')}/{headers.name} M={bound.inside(WORK)} {' '.join(tools.make)}"
        )
        run.logged(bound.argv(["sh", "-c", make]), log=log, step=STEP, env=bound.env())
        built = [f"{_name(name)}.ko" for name in sources]
        for left in draft.path.iterdir():
            if left.name not in built:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        facts = {"kernel": kernel.digest, "flavour": kernel.manifest["flavour"], "release": release}
        entry = draft.publish({**facts, "rebuild": "klab kernel observe"}, built)
    return entry


def _bpf(source: Path, log: Path) -> bytes:
    """A BPF object compiled by the llvm root's clang."""
    tools = root.ready(LLVM).with_binds({"/klab/promise": source.parent})
    compiler = f"clang -O2 -g -Wall -Werror -target bpf -c {tools.inside('/klab/promise')}/{source.name} -o -"
    words = tools.argv(["sh", "-c", compiler])
    done = subprocess.run(words, capture_output=True, check=False, env={**os.environ, **tools.env()})
    if done.returncode:
        log.write_bytes(done.stderr)
        raise KlabError(
            f"clang cannot compile {source.name}: {done.stderr.decode(errors='replace').strip()[-500:]}",
            step=STEP,
            log=log,
            mend=f"mend {source}",
        )
    return done.stdout


def programs(names: tuple[str, ...]) -> dict[str, tuple[int, bytes]]:
    """Programs of the llvm root with the libraries that the loader finds for them there."""
    if not names:
        return {}
    tools = root.ready(LLVM)
    script = 'for p; do p=$(command -v "$p") || exit; echo "$p"; ldd "$p" | grep -o "/[^ ]*"; done'
    words = tools.argv(["sh", "-c", script, "sh", *names])
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **tools.env()}
    )
    if done.returncode or not tools.path:
        raise KlabError(
            f"the build root '{LLVM}' lacks one of: {', '.join(names)}",
            step=STEP,
            mend="name its package in labs/_kernels/toolchain.yml",
        )
    found = {}
    for place in done.stdout.split():
        target = f"bin/{Path(place).name}" if Path(place).name in names else place.removeprefix("/")
        found[target] = (PROGRAM, (tools.path / place.removeprefix("/")).read_bytes())
    return found


def files(promise: model.Promise, kernel: store.Entry, toolchain: str) -> dict[str, tuple[int, bytes]]:
    """All that the promise's guest gets on this kernel beside its script."""
    found = {**modules.files(kernel, promise.modules), **programs(promise.programs)}
    if promise.file(model.MODULE):
        built = ensure(kernel, toolchain).file(f"{_name(promise.name)}.ko")
        found[f"{PROBE}.ko"] = (DATA, built.read_bytes())
    if source := promise.file(model.BPF):
        found[f"{PROBE}.bpf.o"] = (DATA, _bpf(source, log_dir() / f"probe-{promise.name}.log"))
    return {**found, "klab/run.sh": (PROGRAM, promise.script.encode())}
