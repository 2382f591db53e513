# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules for guests: a kernel's packages unpacked once, and what a guest needs of them.

Own kernels have the guest's drivers built in; Debian's have them as modules. A guest gets
the few files it needs, uncompressed, and a modules.dep of these alone, so that plain
modprobe works there.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from klab import digest as digests
from klab import run, store
from klab.errors import KlabError
from klab.guest.initramfs import DATA
from klab.kernel import root
from klab.kernel.dotconfig import read_config
from klab.paths import laid, log_dir

KIND = "modules"
RECIPE = 1  # raise when this file changes what is unpacked
STEP = "guest: modules"
IN, OUT = "/klab/kernel", "/klab/modules"
# What the ports between guest and host need: module, and the symbol that makes it.
DRIVERS = {"virtio_pci": "VIRTIO_PCI", "virtio_console": "VIRTIO_CONSOLE"}

Dependencies = Mapping[str, tuple[str, tuple[str, ...]]]  # name: (path, paths of what it needs)


def ensure(kernel: store.Entry) -> Path:
    """The kernel's modules and headers as in a root folder: lib/modules, usr/src.

    Unpacked now unless it was before (seconds; Debian's kernels half a minute). Raises
    KlabError when a package cannot be unpacked.
    """
    if laid():
        return Path("/")
    digest = digests.of_data([RECIPE, kernel.digest])
    if entry := store.find(KIND, digest):
        return entry.path / "tree"
    release = kernel.manifest["release"]
    log = log_dir() / f"guest-modules-{digests.short(kernel.digest)}.log"
    with store.drafting(KIND, digest, wait=True) as draft:
        if entry := store.find(KIND, digest):  # made while we waited
            return entry.path / "tree"
        tree = draft.path / "tree"
        (tree / "usr/lib").mkdir(parents=True)
        # Packages name either place; in Debian they are one.
        (tree / "lib").symlink_to("usr/lib")
        tools = root.ready().with_binds({IN: kernel.path, OUT: tree})
        inside = tools.inside(OUT)
        script = (
            f"cd {tools.inside(IN)}; for package in linux-*.deb; do dpkg-deb --fsys-tarfile $package |"
            f" tar -x -C {inside} --keep-directory-symlink --no-same-owner"
            " --exclude=./boot --exclude=./usr/share --exclude=./usr/lib/debug || exit; done;"
            f" test -e {inside}/lib/modules/{release}/modules.dep || depmod -b {inside} {release}"
        )
        run.logged(tools.argv(["bash", "-o", "pipefail", "-c", script]), log=log, step=STEP, env=tools.env())
        lists = [f"tree/usr/lib/modules/{release}/{name}" for name in ("modules.dep", "modules.builtin")]
        facts = {"kernel": kernel.digest, "flavour": kernel.manifest["flavour"], "release": release}
        entry = draft.publish({**facts, "rebuild": "klab guest run --module …"}, lists)
    return entry.path / "tree"


def _plain(name: str) -> str:
    """The name by which a module is asked for: `kernel/a/virtio-pci.ko.xz` is virtio_pci."""
    return PurePosixPath(name).name.split(".", maxsplit=1)[0].replace("-", "_")


def dependencies(text: str) -> Dependencies:
    """modules.dep by module name; it lists for each module all that it needs."""
    pairs = (line.split(":", maxsplit=1) for line in text.splitlines() if ":" in line)
    return {_plain(path): (path, tuple(needs.split())) for path, needs in pairs}


def closure(known: Dependencies, names: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(path, paths of what it needs) of the modules `names` and of all that they need."""
    seen: set[str] = set()
    waiting = [_plain(name) for name in names]
    while waiting:
        name = waiting.pop(0)
        if name in known and name not in seen:
            seen.add(name)
            yield known[name]
            waiting += [_plain(path) for path in known[name][1]]


def _content(path: Path) -> bytes:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".ko":
        return path.read_bytes()
    raise KlabError(
        f"{path.name} is packed in a way that klab does not know",
        step=STEP,
        mend="build the kernel with MODULE_COMPRESS off or MODULE_COMPRESS_XZ",
    )


def files(kernel: store.Entry, wanted: Sequence[str] = ()) -> dict[str, tuple[int, bytes]]:
    """What a guest of this kernel gets in /lib/modules; nothing when nothing is needed.

    These are the drivers of its ports, where they are modules, and `wanted` with what it
    needs; a wanted module that the kernel has built in, or has not at all, is left out.
    Raises KlabError when the kernel has a driver in neither form.
    """
    config = read_config(kernel.file("config").read_text())
    drivers = {name: config.get(symbol, "n") for name, symbol in DRIVERS.items()}
    for name, value in drivers.items():
        if value == "n":
            raise KlabError(
                f"the kernel {kernel.manifest['release']} cannot run in a guest: it has no {name}",
                step=STEP,
                mend=f"ask for CONFIG_{DRIVERS[name]} in a fragment of its flavour",
            )
    names = [*(name for name, value in drivers.items() if value == "m"), *wanted]
    if not names:
        return {}
    place = ensure(kernel) / "lib/modules" / kernel.manifest["release"]
    inside = f"lib/modules/{kernel.manifest['release']}"
    found: dict[str, tuple[int, bytes]] = {}
    table = []
    for path, needs in closure(dependencies((place / "modules.dep").read_text()), names):
        found[f"{inside}/{path.removesuffix('.xz')}"] = (DATA, _content(place / path))
        table.append(" ".join([f"{path}:", *needs]).replace(".ko.xz", ".ko"))
    return {**found, f"{inside}/modules.dep": (DATA, "".join(f"{line}\n" for line in table).encode())}
