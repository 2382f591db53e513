# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's kernels as artefacts, from a small archive of packages like Debian's."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from fixtures import debs, places
from klab import digest, mirror, store
from klab.cli.source import command
from klab.errors import KlabError
from klab.kernel import build, cached, flavour

RELEASE = "9.0.7+deb13-amd64"
UNAME_V = "#1 SMP PREEMPT_DYNAMIC Debian 9.0.7-1 (2026-01-01)"
NAMES = (f"linux-image-{RELEASE}", f"linux-headers-{RELEASE}", "linux-kbuild-9.0.7+deb13")


def bzimage(release: str) -> bytes:
    """The head of a bzImage, as far as it says which kernel it is."""
    head = bytearray(0x300)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x50).to_bytes(2, "little")
    return bytes(head[:0x250]) + f"{release} (debian-kernel@localhost) {UNAME_V}\0".encode() + b"code"


def contents(release: str = RELEASE) -> dict[str, bytes]:
    return {
        f"boot/vmlinuz-{RELEASE}": bzimage(release),
        f"boot/config-{RELEASE}": b"CONFIG_VIRTIO_PCI=m\n",
        f"boot/System.map-{RELEASE}": b"the real one is elsewhere\n",
        f"usr/lib/modules/{RELEASE}/modules.builtin": b"",
    }


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the packages of one kernel; flavour `stock` pins them."""
    folder = tmp_path / "archive"
    folder.mkdir()
    monkeypatch.setattr(mirror, "debian", lambda suite: [f"deb [trusted=yes] file:{folder} ./"])
    places.own(monkeypatch, tmp_path, tmp_path)
    monkeypatch.delenv("KLAB_SOURCES", raising=False)
    pin(tmp_path, publish(folder))
    return folder


def publish(folder: Path, version: str = "9.0.7-1", release: str = RELEASE) -> dict[str, str]:
    """Make the packages and their index anew; returns {name: SHA-256}."""
    for old in folder.glob("*.deb"):
        old.unlink()
    files = {name: {"usr/share/doc/klab": version.encode()} for name in NAMES}
    files[NAMES[0]] = contents(release)
    made = {name: debs.package(folder, name, version, held) for name, held in files.items()}
    debs.archive(folder)
    return {name: digest.of_file(path) for name, path in made.items()}


def pin(kernels: Path, sums: dict[str, str], version: str = "9.0.7-1") -> None:
    packages = {"suite": "trixie", "version": version, "names": sums}
    stock = {"why": "tests", "packages": packages, "cmdline": []}
    (kernels / "flavours.yml").write_text(
        yaml.safe_dump({"sources": {}, "flavours": {"stock": stock}}, sort_keys=False)
    )
    flavour.read.cache_clear()


def refused(what: str, *, step: str, mend: str = "") -> None:
    with pytest.raises(KlabError) as caught:
        build.ensure("stock")
    assert what in caught.value.what
    assert step in caught.value.step
    assert caught.value.mend
    assert mend in caught.value.mend
    assert store.entries(cached.KIND) == []


def manifest_of(archive: Path) -> dict[str, Any]:
    return build.ensure("stock")[0].manifest


def test_a_fetched_kernel_is_an_artefact_like_a_built_one(archive: Path) -> None:
    entry, fetched = build.ensure("stock")
    assert fetched
    assert {path.name for path in entry.path.iterdir()} == {*entry.manifest["files"], store.MANIFEST}
    assert entry.file("bzImage").read_bytes() == bzimage(RELEASE)
    assert entry.file("config").read_text() == "CONFIG_VIRTIO_PCI=m\n"
    assert entry.file("System.map").is_file()
    facts = build.describe(entry)
    assert facts["release"] == RELEASE
    assert sorted(Path(str(path)).name.split("_")[0] for path in facts["packages"]) == sorted(NAMES)
    again, fetched = build.ensure("stock")
    assert not fetched
    assert again.path == entry.path


def test_the_packages_stay_as_they_were_signed(archive: Path) -> None:
    entry, _ = build.ensure("stock")
    for package in archive.glob("*.deb"):
        assert entry.file(package.name).read_bytes() == package.read_bytes()


def test_the_manifest_tells_how_the_running_kernel_is_known(archive: Path) -> None:
    manifest = manifest_of(archive)
    assert manifest["uname_v"] == UNAME_V
    assert manifest["source"]["version"] == "9.0.7-1"
    assert manifest["source"]["sha256"] == {name: manifest["inputs"]["packages"][name] for name in NAMES}
    assert manifest["rebuild"] == "klab kernel build --flavour stock"
    assert manifest["cost"]["wall_s"] > 0


def test_another_package_under_the_same_version_is_refused(archive: Path, tmp_path: Path) -> None:
    sums = publish(archive)
    pin(tmp_path, {**sums, NAMES[1]: "1" * 64})
    refused(f"not the pinned {'1' * 64}", step="kernel_fetch: verify", mend="find out why")


def test_a_version_that_has_left_the_archive_is_told_and_a_kept_one_is_taken(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(archive, tmp_path / "kept")
    publish(archive, "9.0.8-1")
    refused(f"does not offer {NAMES[0]}=9.0.7-1", step="kernel_fetch: download", mend="KLAB_SOURCES")
    with pytest.raises(KlabError, match=r"9\.0\.8-1"):
        build.ensure("stock")
    monkeypatch.setenv("KLAB_SOURCES", str(tmp_path / "kept"))
    assert manifest_of(archive)["release"] == RELEASE


def test_packages_of_another_kernel_are_told(archive: Path, tmp_path: Path) -> None:
    pin(tmp_path, publish(archive, release="9.0.6+deb13-amd64"))
    refused(f"{NAMES[0]}_9.0.7-1_amd64.deb calls itself 9.0.6+deb13-amd64", step="kernel_fetch: verify")


def test_a_flavour_without_an_image_is_told(archive: Path, tmp_path: Path) -> None:
    sums = publish(archive)
    pin(tmp_path, {name: sums[name] for name in NAMES[1:]})
    refused("0 packages are called linux-image-", step="kernel_fetch", mend="mend the flavour's packages")


def test_a_fetched_flavour_has_no_source_and_asking_for_it_is_no_error(archive: Path) -> None:
    said = CliRunner().invoke(command, ["fetch", "--flavour", "stock", "--json"])
    assert said.exit_code == 0
    answer = json.loads(said.output)
    assert not answer["changed"]
    assert answer["path"] == ""
