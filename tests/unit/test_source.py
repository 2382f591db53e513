# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to a pinned source, and every way in which it goes wrong, with small real files."""

import functools
import http.server
import shutil
import socket
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures import debs
from klab import digest, mirror, store
from klab.errors import KlabError
from klab.kernel import source
from klab.kernel.flavour import Source
from klab.paths import repo_dir

SIGNED = repo_dir() / "tests/fixtures/signed"  # linux-9.tar by gpg; a certificate each of two keys
EPOCH = 1_700_000_000  # any fixed time
MAKEFILE = "VERSION = 9\n" + "".join(f"# line {number}\n" for number in range(2, 21))


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """labs/_kernels of its own with linux.tar in it, this host's tools and an empty cache."""
    folder = tmp_path / "kernels"
    (folder / "patches").mkdir(parents=True)
    for name, value in {
        "KLAB_KERNELS": folder,
        "KLAB_BUILD_ROOT": "host",
        "KLAB_CACHE": tmp_path / "cache",
        "KLAB_STATE": tmp_path / "state",
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("KLAB_SOURCES", raising=False)
    pack(folder / "linux.tar", {"Makefile": MAKEFILE, "fs/ext4.c": "int ext4;\n"})
    return folder


def pack(target: Path, files: dict[str, str]) -> None:
    tree = target.parent / "packing"
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    with tarfile.open(target, "w") as tar:
        tar.add(tree, "linux", filter=dated)
    shutil.rmtree(tree)


def dated(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime = EPOCH
    return info


def tarball(kernels: Path, *patches: str, **fields: str) -> Source:
    plain = {"url": "linux.tar", "sha256": digest.of_file(kernels / "linux.tar")}
    paths = tuple(kernels / "patches" / name for name in patches)
    return Source("fake", "tarball", "9.0", patches=paths, **{**plain, **fields})


def refused(wanted: Source, what: str, *, step: str = "kernel_source", mend: str = "") -> None:
    """It fails with one clear error, and nothing of it is in the cache."""
    with pytest.raises(KlabError) as caught:
        source.ensure(wanted)
    assert what in caught.value.what
    assert step in caught.value.step
    assert caught.value.mend
    assert mend in caught.value.mend
    assert store.entries(source.KIND) == []


# Tarballs


def test_a_tarball_is_unpacked_once(kernels: Path) -> None:
    wanted = tarball(kernels)
    entry = source.ensure(wanted)
    assert (entry.path / "tree/fs/ext4.c").read_text() == "int ext4;\n"
    assert (entry.path / "tree/Makefile").stat().st_mtime == EPOCH
    assert entry.manifest["source"] == {"id": "linux.tar 9.0", "sha256": wanted.sha256}
    assert sorted(path.name for path in entry.path.iterdir()) == ["Makefile", "manifest.json", "tree"]
    (kernels / "linux.tar").unlink()
    assert source.ensure(wanted).path == entry.path


def test_a_changed_file_under_the_same_version_is_refused(kernels: Path) -> None:
    wanted = tarball(kernels)
    pack(kernels / "linux.tar", {"Makefile": MAKEFILE, "fs/ext4.c": "int another;\n"})
    refused(wanted, f"not the pinned {wanted.sha256}", step="verify", mend="find out why")


def test_a_tarball_of_something_else_is_told(kernels: Path) -> None:
    pack(kernels / "linux.tar", {"README": "not a kernel\n"})
    refused(tarball(kernels), "no kernel source", step="unpack")


@pytest.mark.parametrize("url", ["missing.tar", "gopher://nowhere/linux.tar"])
def test_a_place_that_has_no_file_is_named(kernels: Path, url: str) -> None:
    refused(tarball(kernels, url=url), f"cannot get {url}", step="download", mend="the address in")


@pytest.fixture
def served(kernels: Path) -> Iterator[str]:
    """labs/_kernels over HTTP on loopback."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=kernels)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_url_is_downloaded_and_verified(kernels: Path, served: str) -> None:
    assert source.ensure(tarball(kernels, url=f"{served}/linux.tar")).path.exists()


def test_a_url_without_the_file_is_named(kernels: Path, served: str) -> None:
    refused(tarball(kernels, url=f"{served}/linux-10.tar"), "linux-10.tar: HTTP Error 404", step="download")


def test_an_unreachable_server_is_named(kernels: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and not listening: connections are refused
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/linux.tar"
        refused(tarball(kernels, url=url), f"cannot get {url}", step="download", mend="network")


def test_a_file_at_hand_is_taken_when_it_is_the_pinned_one(
    kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tarball(kernels, url="http://127.0.0.1:1/linux.tar")
    monkeypatch.setenv("KLAB_SOURCES", str(tmp_path / "kept"))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/linux.tar").write_text("something else")
    refused(wanted, "cannot get")
    shutil.copy2(kernels / "linux.tar", tmp_path / "kept/linux.tar")
    assert source.ensure(wanted).path.exists()
    assert (tmp_path / "kept/linux.tar").exists()


# Signatures


@pytest.fixture
def signed(kernels: Path) -> Path:
    shutil.copytree(SIGNED, kernels, dirs_exist_ok=True)
    return kernels


def by(kernels: Path, signature: str, key: str) -> Source:
    sha256 = digest.of_file(kernels / "linux-9.tar.xz")
    return tarball(kernels, url="linux-9.tar.xz", sha256=sha256, signature=signature, key=key)


@pytest.mark.parametrize("signature", ["linux-9.tar.xz.sig", "linux-9.tar.sign"])
def test_a_signature_of_the_file_or_of_the_tar_in_it_is_checked(signed: Path, signature: str) -> None:
    entry = source.ensure(by(signed, signature, "signer.pgp"))
    assert (entry.path / "tree/Makefile").read_text() == "VERSION = 9\n"


@pytest.mark.parametrize(
    ("signature", "key"),
    [
        ("linux-9.tar.xz.sig", "stranger.pgp"),
        ("linux-9.tar.sign", "stranger.pgp"),
        ("linux-9.tar.xz", "signer.pgp"),  # no signature at all
    ],
)
def test_a_wrong_signature_is_refused(signed: Path, signature: str, key: str) -> None:
    refused(by(signed, signature, key), f"not valid for the key {key}", step="signature", mend="who signed")


def test_a_signature_of_another_file_is_refused(signed: Path) -> None:
    with (signed / "linux-9.tar.xz").open("ab") as stream:
        stream.write(bytes(4))  # padding that xz accepts
    wanted = by(signed, "linux-9.tar.xz.sig", "signer.pgp")
    refused(wanted, "linux-9.tar.xz.sig of linux-9.tar.xz is not valid", step="signature")


def test_a_missing_key_or_signature_is_named(signed: Path) -> None:
    refused(
        by(signed, "linux-9.tar.xz.sig", "nobody.pgp"), "nobody.pgp", step="signature", mend="gpg --export"
    )
    refused(by(signed, "linux-9.asc", "signer.pgp"), "cannot get linux-9.asc", step="download")


# Patches


def change(kernels: Path, name: str, old: str, new: str, *, at: int = 2) -> None:
    """Write a patch that turns line `at` from `old` of the Makefile into `new`."""
    head = f"Why it is needed.\n\n--- a/Makefile\n+++ b/Makefile\n@@ -{at} +{at} @@\n"
    (kernels / "patches" / name).write_text(f"{head}-{old}\n+{new}\n")


def test_patches_are_applied_in_order_and_leave_the_date(kernels: Path) -> None:
    change(kernels, "a.patch", "# line 2", "# two")
    change(kernels, "b.patch", "# two", "# zwei")
    entry = source.ensure(tarball(kernels, "a.patch", "b.patch"))
    makefile = entry.path / "tree/Makefile"
    assert makefile.read_text().splitlines()[1] == "# zwei"
    # The kernel is dated by it: a second unpacking must not differ.
    assert makefile.stat().st_mtime == EPOCH
    assert list(entry.manifest["source"]["patches"]) == ["a.patch", "b.patch"]
    assert not list(entry.path.rglob("*.orig"))


def test_content_and_order_of_patches_are_in_the_digest(kernels: Path) -> None:
    change(kernels, "a.patch", "# line 2", "# two")
    change(kernels, "b.patch", "# line 3", "# three", at=3)
    orders = [(), ("a.patch",), ("a.patch", "b.patch"), ("b.patch", "a.patch")]
    seen = {source.digest(tarball(kernels, *order)) for order in orders}
    assert len(seen) == len(orders)
    change(kernels, "a.patch", "# line 2", "# deux")
    assert source.digest(tarball(kernels, "a.patch")) not in seen
    # Where it lies is not content.
    change(kernels, "moved.patch", "# line 2", "# deux")
    assert source.digest(tarball(kernels, "a.patch")) == source.digest(tarball(kernels, "moved.patch"))


HEAD = "--- a/Makefile\n+++ b/Makefile\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{HEAD}@@ -2 +2 @@\n-# line 2\n+# two\n@@ -9 +9 @@\n-# nine\n+# 9\n",
            "Makefile: hunk 2 does not fit (line 9)",
        ),
        # One line of context has changed: with fuzz it would be forced in.
        (
            f"{HEAD}@@ -2,3 +2,3 @@\n # line two\n-# line 3\n+# 3\n # line 4\n",
            "Makefile: hunk 1 does not fit",
        ),
        (f"{HEAD}@@ -2 +2 @@\n-# two\n+# line 2\n", "Makefile: its change is there already"),
        ("--- a/fs/no.c\n+++ b/fs/no.c\n@@ -1 +1 @@\n-a\n+b\n", "fs/no.c: there is no such file"),
        ("--- /dev/null\n+++ b/fs/ext4.c\n@@ -0,0 +1 @@\n+int more;\n", "fs/ext4.c"),
        ("--- a/../../out\n+++ b/../../out\n@@ -0,0 +1 @@\n+x\n", "../../out: there is no such file"),
        ("just words\n", "the source: Only garbage was found"),
        ("", "the source: it is empty"),
    ],
)
def test_a_patch_that_does_not_apply_is_told_with_file_and_hunk(kernels: Path, text: str, said: str) -> None:
    (kernels / "patches/bad.patch").write_text(text)
    refused(
        tarball(kernels, "bad.patch"),
        f"the patch bad.patch does not apply to {said}",
        step="patch",
        mend="anew",
    )


def test_the_patch_that_fails_is_named_not_the_one_before(kernels: Path) -> None:
    change(kernels, "a.patch", "# line 2", "# two")
    change(kernels, "b.patch", "# line 2", "# zwei")
    refused(tarball(kernels, "a.patch", "b.patch"), "the patch b.patch does not apply to Makefile: hunk 1")


def test_a_missing_patch_is_named_before_anything_is_fetched(kernels: Path) -> None:
    refused(
        tarball(kernels, "no.patch", url="http://127.0.0.1:1/x"), "no.patch", step="patch", mend="write it"
    )


# Git


def git(repo: Path, *words: str) -> str:
    who = ["-c", "user.name=klab", "-c", "user.email=klab@localhost"]
    argv = ["git", "-C", repo, *who, *words]
    env = {"GIT_COMMITTER_DATE": f"{EPOCH} +0000", "PATH": "/usr/bin:/bin"}
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=env).stdout.strip()


@pytest.fixture
def repo(kernels: Path) -> Path:
    """A repository with two commits."""
    path = kernels / "linux.git"
    path.mkdir()
    git(path, "init", "-q")
    for text in ("int ext4;\n", "int newer;\n"):
        (path / "Makefile").write_text(MAKEFILE)
        (path / "ext4.c").write_text(text)
        git(path, "add", ".")
        git(path, "commit", "-q", "-m", text)
    return path


def commit(url: str, name: str, *patches: Path) -> Source:
    return Source("fake", "git", "9.0", url=url, commit=name, patches=patches)


@pytest.mark.parametrize(("name", "text"), [("HEAD", "int newer;\n"), ("HEAD^", "int ext4;\n")])
def test_a_commit_is_fetched_without_its_history(repo: Path, kernels: Path, name: str, text: str) -> None:
    wanted = commit("linux.git", git(repo, "rev-parse", name))
    entry = source.ensure(wanted)
    assert sorted(path.name for path in (entry.path / "tree").iterdir()) == ["Makefile", "ext4.c"]
    assert (entry.path / "tree/ext4.c").read_text() == text
    assert (entry.path / "tree/Makefile").stat().st_mtime == EPOCH
    assert entry.manifest["source"] == {"id": "linux.git 9.0", "commit": wanted.commit}
    shutil.rmtree(repo)
    assert source.ensure(wanted).path == entry.path


def test_a_commit_can_be_patched(repo: Path, kernels: Path) -> None:
    change(kernels, "a.patch", "# line 2", "# two")
    entry = source.ensure(
        commit(f"file://{repo}", git(repo, "rev-parse", "HEAD"), kernels / "patches/a.patch")
    )
    assert "# two\n" in (entry.path / "tree/Makefile").read_text()


def test_a_commit_that_is_not_there_is_named(repo: Path) -> None:
    absent = "1234" * 10
    refused(commit("linux.git", absent), f"linux.git holds no commit {absent}", step="fetch", mend="push it")


def test_a_rewritten_history_no_longer_holds_the_commit(repo: Path) -> None:
    gone = git(repo, "rev-parse", "HEAD")
    git(repo, "commit", "-q", "--amend", "-m", "another")
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "gc", "-q", "--prune=now")
    refused(commit("linux.git", gone), f"holds no commit {gone}")


@pytest.mark.parametrize("url", ["missing.git", "http://127.0.0.1:1/linux.git"])
def test_an_unreachable_repository_is_named(kernels: Path, url: str) -> None:
    refused(commit(url, "1234" * 10), f"cannot fetch from {url}", step="fetch", mend="network")


# Debian


@pytest.fixture
def archive(kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    """Publish linux-source-9.0 in an archive of its own; returns its pinned Source."""
    folder = tmp_path / "archive"
    folder.mkdir()
    monkeypatch.setattr(mirror, "debian", lambda suite: [f"deb [trusted=yes] file:{folder} ./"])

    def publish(version: str) -> Source:
        for old in folder.glob("*.deb"):
            old.unlink()
        pack(kernels / "linux.tar", {"Makefile": MAKEFILE, "version": version})
        subprocess.run(["xz", "-kf", kernels / "linux.tar"], check=True)
        files = {"usr/src/linux-source-9.0.tar.xz": (kernels / "linux.tar.xz").read_bytes()}
        path = debs.package(folder, "linux-source-9.0", version, files)
        debs.archive(folder)
        sha256 = digest.of_file(path)
        return Source("fake", "debian", version, sha256, package="linux-source-9.0", suite="trixie")

    return publish


def test_a_source_package_comes_through_apt(archive: Callable[..., Source]) -> None:
    entry = source.ensure(archive("9.0.7-1"))
    assert (entry.path / "tree/version").read_text() == "9.0.7-1"
    assert sorted(path.name for path in entry.path.iterdir()) == ["Makefile", "manifest.json", "tree"]


def test_a_version_that_has_left_the_archive_is_told_with_what_is_there(
    archive: Callable[..., Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = archive("9.0.7-1")
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "archive", kept)
    archive("9.0.8-1")
    refused(wanted, "does not offer linux-source-9.0=9.0.7-1", step="download", mend="KLAB_SOURCES")
    with pytest.raises(KlabError, match=r"linux-source-9\.0 \| +9\.0\.8-1"):
        source.ensure(wanted)
    # Who kept the package goes on as if nothing had happened.
    monkeypatch.setenv("KLAB_SOURCES", str(kept))
    assert (source.ensure(wanted).path / "tree/version").read_text() == "9.0.7-1"


def test_another_package_under_the_same_version_is_refused(archive: Callable[..., Source]) -> None:
    wanted = archive("9.0.7-1")
    forged = Source(**{**vars(wanted), "sha256": "1" * 64})
    refused(forged, f"not the pinned {'1' * 64}", step="verify", mend="find out why")


def test_a_package_that_its_archive_did_not_sign_is_refused(
    archive: Callable[..., Source], tmp_path: Path
) -> None:
    wanted = archive("9.0.7-1")
    (package,) = (tmp_path / "archive").glob("*.deb")
    content = bytearray(package.read_bytes())
    content[-1] ^= 1
    package.write_bytes(content)
    refused(wanted, "apt refuses what the archive serves", step="download")


def test_an_archive_that_is_not_there_is_named(
    archive: Callable[..., Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = archive("9.0.7-1")
    monkeypatch.setattr(mirror, "debian", lambda suite: ["deb [trusted=yes] http://127.0.0.1:1/debian ./"])
    refused(wanted, "the Debian archive cannot be reached", mend="KLAB_DEBIAN_MIRROR")


def test_the_pin_of_today_keeps_its_digest() -> None:
    # The digest of flavour lab, and with it half an hour of compiling, hangs on it.
    wanted = Source(
        name="debian-6.12",
        provider="debian",
        version="6.12.117-1",
        sha256="9141325315c7f1eca682113d185a8c77c82814aa6e32f7e127e61d6106403835",
        package="linux-source-6.12",
        suite="trixie",
    )
    assert source.digest(wanted) == "1d81378930773294ad5d45ce5ac819b8973037f514840f1e75a54249d7896e18"
