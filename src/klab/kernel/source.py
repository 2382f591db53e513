# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned kernel sources, unpacked once and verified."""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path

from klab import digest as digests
from klab import mirror, namespace, run, store
from klab.errors import KlabError
from klab.kernel import root
from klab.kernel.flavour import Source
from klab.paths import log_dir
from klab.progress import Progress, remember

KIND = "sources"
STEP = "kernel_source"
GET = "/klab/get"


def digest(source: Source) -> str:
    """The digest of a source: what it is and what its file must hash to."""
    return digests.of_data([source.provider, source.id, source.sha256])


def find(source: Source) -> store.Entry | None:
    """The unpacked source, or None."""
    return store.find(KIND, digest(source))


def verify(package: Path, source: Source) -> None:
    """Compare a downloaded file with the pin. Raises KlabError when it differs."""
    seen = digests.of_file(package)
    if seen != source.sha256:
        raise KlabError(
            f"{package.name} has SHA-256 {seen}, not the pinned {source.sha256}",
            step=f"{STEP}: verify",
            mend="the archive serves another file under this version: find out why before you "
            "change the pin in labs/_kernels/flavours.yml",
        )


def _from_debian(tools: root.Toolroot, source: Source, folder: Path, log: Path) -> Path:
    """Fetch the package through apt, which checks the archive's signature."""
    # The root's own lists stay as they were: apt keeps its state in the draft folder.
    (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
    wanted = f"{source.package}={source.version}"
    script = (
        "set -e; cd /klab/get; apt='apt-get -q -o Dir::State::lists=/klab/get/lists -o Acquire::Retries=2"
        " -o APT::Sandbox::User=root'; "
        f"$apt update; $apt download {wanted} || "
        f"{{ apt-cache -o Dir::State::lists=/klab/get/lists madison {source.package}; exit 9; }}"
    )
    try:
        run.logged(tools.argv(["sh", "-c", script]), log=log, step=f"{STEP}: download", env=tools.env())
    except KlabError as error:
        if unreachable := mirror.unreachable(log, f"{STEP}: download"):
            raise unreachable from None
        raise KlabError(
            f"the archive does not offer {wanted}:\n{run.tail(log)}",
            step=f"{STEP}: download",
            log=log,
            mend="pin a version that is offered, with its SHA-256, in labs/_kernels/flavours.yml",
        ) from error
    namespace.remove(folder / "lists")
    return next(folder.glob(f"{source.package}_*.deb"))


def _from_url(source: Source, folder: Path) -> Path:
    """Copy or download a tarball."""
    url = source.url if "://" in source.url else Path(source.url).absolute().as_uri()
    target = folder / Path(source.url).name
    try:
        with urllib.request.urlopen(url, timeout=60) as stream, target.open("wb") as out:  # noqa: S310 (any URL is fine: the file is verified)
            shutil.copyfileobj(stream, out)
    except OSError as error:
        raise KlabError(
            f"cannot get {source.url}: {error}",
            step=f"{STEP}: download",
            mend="check the network, or the url of the source in labs/_kernels/flavours.yml",
        ) from None
    return target


def ensure(source: Source) -> store.Entry:
    """The source tree under `<entry>/tree`, fetched and unpacked unless cached."""
    if entry := find(source):
        return entry
    ready = root.ready()
    log = log_dir() / "kernel_source.log"
    with store.drafting(KIND, digest(source)) as draft:
        tools = ready.with_binds({GET: draft.path})
        progress = Progress("kernel_source", source.version)
        debian = source.provider == "debian"
        package = _from_debian(tools, source, draft.path, log) if debian else _from_url(source, draft.path)
        verify(package, source)
        progress.advance("downloaded and verified; unpacking")
        (draft.path / "tree").mkdir()
        unpack = f"tar -x --strip-components=1 --no-same-owner -C tree -f {package.name}"
        if debian:
            unpack = (
                f"dpkg-deb --fsys-tarfile {package.name} | tar -xO ./usr/src/{source.package}.tar.xz"
                " | tar -xJ --strip-components=1 --no-same-owner -C tree"
            )
        used = run.logged(
            tools.argv(["bash", "-o", "pipefail", "-c", f"cd {tools.inside(GET)} && {unpack}"]),
            log=log,
            step=f"{STEP}: unpack",
            env=tools.env(),
            append=debian,
        )
        package.unlink()
        # The tree itself is too large to hash at each use; its Makefile stands for it.
        shutil.copy2(draft.path / "tree/Makefile", draft.path / "Makefile")
        facts = {"id": source.id, "sha256": source.sha256}
        entry = draft.publish({"source": facts, "rebuild": "klab source fetch"}, ["Makefile"])
    remember("kernel_source", source.version, used.wall_s, used.cpu_s)
    return entry
