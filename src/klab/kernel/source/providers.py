# SPDX-License-Identifier: GPL-3.0-or-later
"""The three ways to a pinned source. Each ends with one verified archive in a folder."""

from __future__ import annotations

import re
from pathlib import Path

from klab import run
from klab.errors import KlabError
from klab.kernel import download, root
from klab.kernel.flavour import Source, kernels_dir

STEP = "kernel_source"
KEYS = "/klab/keys"  # where the folder of a key stands inside the build root
_ABSENT = re.compile(r"not our ref|no such remote ref|did not contain", re.IGNORECASE)


def debian(source: Source, folder: Path, tools: root.Toolroot, log: Path) -> Path:
    """The source package, through apt. Raises KlabError when it cannot be had as pinned."""
    wanted = {source.package: source.sha256}
    found = download.packages(tools, source.suite, source.version, wanted, folder, log=log, step=STEP)
    return found[source.package]


def tarball(source: Source, folder: Path, tools: root.Toolroot, log: Path) -> Path:
    """A tarball by its path or URL. Raises KlabError when it is not as pinned and signed."""
    package = download.local(Path(source.url).name, source.sha256, folder)
    if not package:
        package = download.url(source.url, kernels_dir(), folder, STEP)
        download.verify(package, source.sha256, STEP)
    if source.signature:
        signature = download.url(source.signature, kernels_dir(), folder, STEP)
        _signed(package, signature, kernels_dir() / source.key, tools, log)
        signature.unlink()
    return package


def _signed(package: Path, signature: Path, key: Path, tools: root.Toolroot, log: Path) -> None:
    """Check a detached signature by the certificate in `key`.

    linux-6.12.tar.sign signs the tar inside linux-6.12.tar.xz. Raises KlabError when the
    signature is not of this file and this key.
    """
    step = f"{STEP}: signature"
    if not key.is_file():
        raise KlabError(
            f"there is no key {key}",
            step=step,
            mend=f"put the signer's public key there (gpg --export >{key})",
        )
    bound = tools.with_binds({download.GET: package.parent, KEYS: key.parent})
    inside = bound.inside(download.GET)
    data = f"{inside}/{package.name}"
    signed, opened = data, ":"
    if signature.stem == package.stem and package.suffix in {".xz", ".gz", ".zst"}:
        unpacker = {".xz": "xz", ".gz": "gzip", ".zst": "zstd"}[package.suffix]
        signed = f"{inside}/{package.stem}"
        opened = f"{unpacker} -dc {data} >{signed}"
    script = (
        f"{opened} && $(command -v sqv || command -v gpgv) --keyring {bound.inside(KEYS)}/{key.name}"
        f" {inside}/{signature.name} {signed}"
    )
    said: list[str] = []
    try:
        argv, env = bound.argv(["sh", "-c", script]), bound.env()
        run.logged(argv, log=log, step=step, env=env, on_line=said.append, append=True)
    except KlabError as error:
        lines = "\n".join(said[:3])
        raise KlabError(
            f"the signature {signature.name} of {package.name} is not valid for the key {key.name}:\n{lines}",
            step=step,
            log=log,
            mend="find out who signed the file; do not take it before you know",
        ) from error
    if signed != data:
        (package.parent / package.stem).unlink()


def git(source: Source, folder: Path, tools: root.Toolroot, log: Path) -> Path:
    """The tree of one commit as a tar, fetched by this host's git, without history.

    The commit's name is the hash of all that it holds, and git compares it on arrival.
    Raises KlabError when the repository cannot be reached or holds no such commit.
    """
    step = f"{STEP}: fetch"
    place = source.url if "://" in source.url else str((kernels_dir() / source.url).absolute())
    repo, target = folder / "repo.git", folder / "linux.tar"
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes", "LC_ALL": "C"}
    settings = [f"http.lowSpeedTime={download.PATIENCE_S}", "http.lowSpeedLimit=1", "tar.umask=0022"]
    words = ["git", *(word for setting in settings for word in ("-c", setting)), f"--git-dir={repo}"]
    said: list[str] = []
    try:
        run.logged(["git", "init", "-q", "--bare", repo], log=log, step=step, env=quiet)
        fetch = [*words, "fetch", "-q", "--depth=1", "--no-tags", place, source.commit]
        run.logged(fetch, log=log, step=step, env=quiet, on_line=said.append, append=True)
        tar = [*words, "archive", "--prefix=linux/", f"--output={target}", source.commit]
        run.logged(tar, log=log, step=step, env=quiet, append=True)
    except KlabError as error:
        if any(_ABSENT.search(line) for line in said):
            raise KlabError(
                f"{source.url} holds no commit {source.commit}",
                step=step,
                log=log,
                mend=f"push it there, or mend the commit in {download.FLAVOURS} (all 40 digits)",
            ) from None
        if said:
            raise KlabError(
                f"cannot fetch from {source.url}: {said[-1]}",
                step=step,
                log=log,
                mend=f"check the network and the address in {download.FLAVOURS}",
            ) from None
        raise error from None
    return target


PROVIDERS = {"debian": debian, "tarball": tarball, "git": git}
