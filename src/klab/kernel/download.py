# SPDX-License-Identifier: GPL-3.0-or-later
"""Get pinned files: from a folder of the user's, through apt, or from a URL.

Whatever the way, a file counts only when its SHA-256 is the pinned one.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from klab import digest as digests
from klab import mirror, namespace, run
from klab.errors import KlabError
from klab.kernel import root

GET = "/klab/get"  # where the folder of downloads stands inside the build root
FLAVOURS = "labs/_kernels/flavours.yml"
OFFER = "the archive offers:"
_FORGED = re.compile(
    r".*(?:Hash Sum mismatch|unexpected size|NO_PUBKEY|BADSIG|EXPKEYSIG|is not signed|Missing key).*"
)
PATIENCE_S = 60  # seconds without a byte after which a server is given up


def verify(path: Path, sha256: str, step: str) -> None:
    """Compare a file with its pin. Raises KlabError when it differs."""
    seen = digests.of_file(path)
    if seen != sha256:
        raise KlabError(
            f"{path.name} has SHA-256 {seen}, not the pinned {sha256}",
            step=f"{step}: verify",
            mend="another file is served under this version: find out why before you change the pin in "
            f"{FLAVOURS}",
        )


def local(pattern: str, sha256: str, folder: Path) -> Path | None:
    """Take a file from the folder KLAB_SOURCES into `folder`; None when it holds none with this hash."""
    kept = os.environ.get("KLAB_SOURCES")
    for path in sorted(Path(kept).expanduser().glob(pattern)) if kept else ():
        if path.is_file() and digests.of_file(path) == sha256:
            return Path(shutil.copy2(path, folder / path.name))
    return None


def url(place: str, base: Path, folder: Path, step: str) -> Path:
    """Download a URL, or copy a path (relative to `base`), into `folder`.

    Raises KlabError naming `place` when it cannot be had.
    """
    target = folder / Path(place).name
    try:
        address = place if "://" in place else (base / place).absolute().as_uri()
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as stream, target.open("wb") as out:  # noqa: S310 (any URL is fine: the file is verified)
            shutil.copyfileobj(stream, out)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise KlabError(
            f"cannot get {place}: {error}",
            step=f"{step}: download",
            mend=f"check the network and the address in {FLAVOURS}",
        ) from None
    return target


def _settings(folder: Path, inside: str, suite: str) -> None:
    """Write apt.conf and sources.list: apt's state is in `folder`, the root's own stays as it was."""
    (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": f"{inside}/lists",
        "Dir::Cache::pkgcache": "",  # two runs in one root must not share it
        "Dir::Cache::srcpkgcache": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "APT::Sandbox::User": "root",
    }
    # A host without a Debian archive: then the root's own lines reach its own suite.
    if lines := mirror.debian(suite):
        (folder / "sources.list").write_text("".join(f"{line}\n" for line in lines))
        options |= {"Dir::Etc::sourcelist": f"{inside}/sources.list", "Dir::Etc::sourceparts": "/dev/null"}
    (folder / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in options.items()))


def _alike(name: str) -> str:
    """A regular expression for the package in any version of the kernel: `linux-source-6.12`."""
    return re.sub(r"\d+([.]\d+)+", "[0-9.]+", name.replace("+", "[+]"))


def packages(
    tools: root.Toolroot,
    suite: str,
    version: str,
    sums: Mapping[str, str],
    folder: Path,
    *,
    log: Path,
    step: str,
) -> dict[str, Path]:
    """Debian packages {name: SHA-256} of one version, verified, in `folder`.

    What KLAB_SOURCES does not hold comes through apt in the root, which checks the
    archive's signature. Raises KlabError that shows what the archive offers when it does
    not offer these, or names the archive that cannot be reached.
    """
    kept = {name: local(f"{name}_*.deb", sha256, folder) for name, sha256 in sums.items()}
    found = {name: path for name, path in kept.items() if path}
    if missing := [name for name in sums if name not in found]:
        pins = [f"{name}={version}" for name in missing]
        _apt(tools, suite, pins, folder, log=log, step=f"{step}: download")
    for name in missing:
        found[name] = next(folder.glob(f"{name}_*.deb"))
        verify(found[name], sums[name], step)
    return found


def _apt(
    tools: root.Toolroot, suite: str, pins: Sequence[str], folder: Path, *, log: Path, step: str
) -> None:
    bound = tools.with_binds({GET: folder})
    inside = bound.inside(GET)
    _settings(folder, inside, suite)
    alike = _alike(pins[0].partition("=")[0])  # the others have its version
    script = (
        f"cd {inside} && apt-get -q update || exit; apt-get -q download {' '.join(pins)} && exit; "
        f"echo '{OFFER}'; apt-cache madison $(apt-cache pkgnames | grep -Ex '{alike}'); exit 9"
    )
    try:
        env = bound.env({"APT_CONFIG": f"{inside}/apt.conf"})
        run.logged(bound.argv(["sh", "-c", script]), log=log, step=step, env=env, append=True)
    except KlabError:
        if forged := _FORGED.search(log.read_text(errors="replace")):
            raise KlabError(
                f"apt refuses what the archive serves: {forged[0]}",
                step=step,
                log=log,
                mend="try again later: a mirror may be half-way through an update; then ask its keeper",
            ) from None
        if unreachable := mirror.unreachable(log, step):
            raise unreachable from None
        _, told, offer = log.read_text(errors="replace").rpartition(f"\n{OFFER}\n")
        if not told:
            raise
        offer = offer.rstrip() or "nothing like it"
        raise KlabError(
            f"the archive does not offer {' '.join(pins)}; it offers:\n{offer}",
            step=step,
            log=log,
            mend=f"pin a version that is offered, with its SHA-256, in {FLAVOURS},\n"
            "or put the pinned files into a folder and name it: KLAB_SOURCES=/folder",
        ) from None
    finally:
        for left in ("lists", "apt.conf", "sources.list"):
            namespace.remove(folder / left)
