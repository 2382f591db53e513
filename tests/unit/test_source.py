# SPDX-License-Identifier: GPL-3.0-or-later
"""Tarballs with sums, signatures and patches, and every way in which they go wrong."""

import functools
import http.server
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.sources import EPOCH, MAKEFILE, change, pack, refused, tarball
from klab import digest
from klab.kernel import source
from klab.kernel.flavour import Source
from klab.paths import repo_dir

SIGNED = repo_dir() / "tests/fixtures/signed"  # linux-9.tar by gpg; a certificate each of two keys


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
