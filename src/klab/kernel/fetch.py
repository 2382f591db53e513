# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels that Debian built: its signed packages, verified and laid out as an artefact.

The packages stay as they are. The image's files stand beside them, so that a fetched
kernel boots, installs and is published like one that klab has built.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from klab import run, store
from klab.errors import KlabError
from klab.kernel import artefact, cached, download, root
from klab.kernel.download import FLAVOURS, GET
from klab.machine import banner
from klab.paths import log_dir
from klab.progress import Progress, remember

STEP = "kernel_fetch"
IMAGE = "linux-image-"
# The artefact's files by their names in /boot. Debian's System.map is a stub that names
# the debug package; the running kernel's /proc/kallsyms tells the same.
BOOT = {"bzImage": "vmlinuz", "config": "config", "System.map": "System.map"}


def _unpack(image: Path, release: str, tools: root.Toolroot, log: Path) -> None:
    """Put the image's files from /boot beside its package."""
    folder = image.parent
    bound = tools.with_binds({GET: folder})
    names = " ".join(f"./boot/{name}-{release}" for name in BOOT.values())
    script = (
        f"cd {bound.inside(GET)} && dpkg-deb --fsys-tarfile {image.name} | tar -x --no-same-owner"
        f" --strip-components=2 {names}"
    )
    step = f"{STEP}: unpack"
    argv = bound.argv(["bash", "-o", "pipefail", "-c", script])
    run.logged(argv, log=log, step=step, env=bound.env(), append=True)
    for name, theirs in BOOT.items():
        (folder / f"{theirs}-{release}").rename(folder / name)


def _image(debs: dict[str, Path]) -> tuple[str, Path]:
    """The kernel's release and its package. Raises KlabError unless there is exactly one."""
    images = [(name.removeprefix(IMAGE), deb) for name, deb in debs.items() if name.startswith(IMAGE)]
    if len(images) != 1:
        raise KlabError(
            f"{len(images)} packages are called {IMAGE}…, not one: {', '.join(debs)}",
            step=STEP,
            mend=f"mend the flavour's packages in {FLAVOURS}",
        )
    return images[0]


def ensure(order: artefact.Order) -> store.Entry:
    """The artefact of a fetched flavour, downloaded and verified now.

    Raises KlabError when the archive does not offer the packages as they are pinned.
    """
    name, pinned = order.flavour.name, order.flavour.packages
    log = log_dir() / f"kernel_fetch-{name}.log"
    log.unlink(missing_ok=True)
    started, before = time.monotonic(), sum(os.times()[:4])
    tools = root.ready()
    with store.drafting(cached.KIND, order.digest) as draft:
        progress = Progress(STEP, name)
        debs = download.packages(
            tools, pinned.suite, pinned.version, pinned.sums, draft.path, log=log, step=STEP
        )
        progress.advance("downloaded and verified; unpacking")
        release, image = _image(debs)
        _unpack(image, release, tools, log)
        seen = banner.read(draft.path / "bzImage")
        if seen.release != release:
            raise KlabError(
                f"the kernel in {image.name} calls itself {seen.release}",
                step=f"{STEP}: verify",
                mend=f"name the package of that kernel in {FLAVOURS}",
            )
        wall_s = round(time.monotonic() - started, 2)
        cpu_s = round(sum(os.times()[:4]) - before, 2)
        entry = draft.publish(
            {
                "flavour": name,
                "release": release,
                "uname_v": seen.version,
                "source": {
                    "id": f"{IMAGE}{release} {pinned.version}",
                    "suite": pinned.suite,
                    "version": pinned.version,
                    "sha256": dict(pinned.sums),
                },
                "symbols": {},
                "inputs": order.inputs,
                "cost": {"wall_s": wall_s, "cpu_s": cpu_s},
                "rebuild": f"klab kernel build --flavour {name}",
            },
            [*BOOT, *(deb.name for deb in debs.values())],
        )
    remember(STEP, name, wall_s, cpu_s)
    return entry
