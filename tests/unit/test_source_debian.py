# SPDX-License-Identifier: GPL-3.0-or-later
"""Source packages by apt, from an archive of our own."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures import debs
from fixtures.sources import MAKEFILE, pack, refused
from klab import digest, mirror
from klab.errors import KlabError
from klab.kernel import source
from klab.kernel.flavour import Source


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
