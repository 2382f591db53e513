# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archive does around apt; apt itself is asked in molecule/artifact_store."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from conftest import Sandbox
from fixtures.tinykernels import KEY, A, B, C, archive, deb, kernel
from klab import digest as digests
from klab import retention, store
from klab.archive import debug, index, keys, place, publish
from klab.errors import KlabError
from klab.kernel import symbols
from klab.kernel.root import Toolroot

HOST = Toolroot(None)


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(symbols, "ensure", lambda kernel: kernel.file("vmlinux"))  # no ELF here


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An archive without aptly; how many items each edition made has."""
    return archive(monkeypatch)


def served() -> list[str]:
    return (place.www() / "Packages").read_text().splitlines()


def test_several_digests_of_one_flavour_lie_side_by_side(indexed: list[int]) -> None:
    for digest in (A, B):
        publish.take(kernel("lab", digest), HOST)
        assert publish.refresh(HOST, KEY)
    assert served() == [A, B]
    assert {p.version for item in place.items() for p in item.packages} == {
        f"6.12.0-{d[:12]}" for d in (A, B)
    }
    manifest = json.loads((place.www() / f"kernels/{A}/manifest.json").read_text())
    assert manifest["digest"] == A
    assert len(list((place.folder() / "editions").iterdir())) == 1


def test_the_same_again_changes_nothing(indexed: list[int]) -> None:
    publish.take(kernel("lab", A), HOST)
    assert publish.refresh(HOST, KEY)
    before = digests.of_tree(place.folder())
    assert not publish.refresh(HOST, KEY)
    assert indexed == [1]
    assert digests.of_tree(place.folder()) == before


def test_debug_symbols_become_the_same_package_each_time(tmp_path: Path) -> None:
    entry = kernel("lab", A)
    image = next(entry.path.glob("*.deb"))
    packed = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir(mode=0o700)
        made = debug.pack(entry, image, HOST, tmp_path / name)
        assert made is not None
        packed.append(made.read_bytes())
        os.utime(entry.file("vmlinux"), (0, 0))
    assert packed[0] == packed[1]
    listed = subprocess.run(["dpkg-deb", "-c", made], capture_output=True, text=True, check=True).stdout
    assert "root/root" in listed
    for name in ("vmlinux", "vmlinux-gdb.py"):
        assert f" ./usr/lib/debug/lib/modules/6.12.0-klab-lab/{name}\n" in listed
    assert debug.date_of(made) == debug.date_of(image) > 0


def test_a_kernel_without_vmlinux_gets_no_debug_package() -> None:
    with store.drafting("kernels", A) as draft:
        file = deb(draft.path, "linux-image-6.12.117+deb13-amd64", "6.12.117-1")
        entry = draft.publish({"flavour": "stock", "release": "6.12.117+deb13-amd64"}, [file])
    item = publish.take(entry, HOST)
    assert [(p.name, p.version) for p in item.packages] == [
        ("linux-image-6.12.117+deb13-amd64", "6.12.117-1")
    ]


def test_a_run_cut_off_leaves_the_old_edition_and_the_next_goes_on(
    indexed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish.take(kernel("lab", A), HOST)
    publish.refresh(HOST, KEY)
    before = digests.of_tree(place.www().resolve())
    whole = index.build

    def killed(draft: Path, *rest: object) -> None:
        (draft / "www/Packages").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(index, "build", killed)
    publish.take(kernel("lab", B), HOST)
    with pytest.raises(KeyboardInterrupt):
        publish.refresh(HOST, KEY)
    assert digests.of_tree(place.www().resolve()) == before
    assert not publish.complete()
    monkeypatch.setattr(index, "build", whole)
    assert publish.refresh(HOST, KEY)
    assert served() == [A, B]


def test_what_was_withdrawn_does_not_come_back(indexed: list[int]) -> None:
    for digest in (A, B):
        item = publish.take(kernel("lab", digest), HOST)
    publish.refresh(HOST, KEY)
    publish.withdraw(item)
    assert served() == [A, B]  # until the next edition
    publish.refresh(HOST, KEY)
    assert served() == [A]


def test_a_damaged_artefact_is_not_published(indexed: list[int]) -> None:
    entry = kernel("lab", A)
    path = next(entry.path.glob("*.deb"))
    info = path.stat()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))  # size and date as they were
    with pytest.raises(KlabError, match="was damaged in the cache") as caught:
        publish.take(entry, HOST)
    assert "klab kernel build --flavour lab" in caught.value.mend
    assert path.name in Path(caught.value.log).read_text()
    assert place.items() == []


def test_damage_to_what_is_served_is_found(indexed: list[int]) -> None:
    publish.take(kernel("lab", A), HOST)
    publish.refresh(HOST, KEY)
    assert publish.damaged() == []
    manifest = place.www().resolve() / f"kernels/{A}/manifest.json"
    manifest.unlink()
    manifest.write_text("{}")
    assert publish.damaged() == [f"kernels/{A}/manifest.json"]


def test_a_record_that_cannot_be_read_is_named(indexed: list[int]) -> None:
    item = publish.take(kernel("lab", A), HOST)
    (item.path / place.RECORD).write_text("{")
    with pytest.raises(KlabError, match=f"record of {A[:12]} cannot be read"):
        place.items()


def test_a_lost_key_is_not_replaced_silently(indexed: list[int]) -> None:
    with pytest.raises(KlabError, match=f"signing key {KEY} is gone") as caught:
        keys.ensure(HOST)
    assert "backup" in caught.value.mend
    assert "--new-key" in caught.value.mend


def test_images_are_served_with_their_sums(indexed: list[int]) -> None:
    with store.drafting("images", C) as draft:
        (draft.path / "disk.raw").write_bytes(bytes(1 << 20))
        entry = draft.publish({"flavour": "lab", "release": "6.12.0-klab-lab"}, ["disk.raw"])
    publish.take(entry, HOST)
    publish.refresh(HOST, KEY)
    sums = (place.www() / index.SUMS).read_text()
    known = entry.manifest["files"]["disk.raw"]["sha256"]
    assert f"{known}  images/{C}/disk.raw\n" in sums
    assert (place.www() / f"images/{C}/disk.raw").stat().st_ino == entry.file("disk.raw").stat().st_ino
    assert publish.damaged() == []


def test_retention_counts_per_group_and_spares_the_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention.time, "time", lambda: 10.0 * retention.DAY_S)
    items = [("lab", 1.0), ("lab", 5.0), ("lab", 9.0), ("san", 1.0)]

    def gone(keep: int, days: float) -> list[tuple[str, float]]:
        return retention.superseded(
            items,
            group=lambda item: item[0],
            made=lambda item: item[1] * retention.DAY_S,
            keep=keep,
            older_than_days=days,
        )

    assert gone(1, 0) == [("lab", 1.0), ("lab", 5.0)]
    assert gone(1, 7) == [("lab", 1.0)]
    assert sorted(gone(0, 2)) == [("lab", 1.0), ("lab", 5.0), ("san", 1.0)]
    assert gone(3, 0) == []


def test_bad_input_is_told_before_anything_is_made(sandbox: Sandbox) -> None:
    publish_it = ("archive", "publish", "--flavour")
    sandbox.klab(*publish_it, "tinny").refused("no kernel flavour 'tinny'", step="read flavours", mend="tiny")
    sandbox.klab(*publish_it, "tiny").refused("has not been built", step="kernel: find", mend="kernel build")
    sandbox.klab("archive", "publish", "--image", "abc").refused("no images", step="find", mend="image list")
    sandbox.klab("archive", "up").refused("nothing has been published", step="serve", mend="publish")
    said = sandbox.klab(*publish_it, "tiny", "--check")
    assert (said.code, said.answer["changed"]) == (0, True)
    assert sandbox.klab("archive", "status").answer["running"] is False
    assert not list(sandbox.state.glob("archive/[!l]*"))  # nothing but the lock


def test_prune_says_and_does_only_when_told(indexed: list[int], sandbox: Sandbox) -> None:
    for number, digest in enumerate((A, B)):
        item = publish.take(kernel("lab", digest), HOST)
        record = json.loads((item.path / place.RECORD).read_text())
        (item.path / place.RECORD).write_text(json.dumps(record | {"published": number}))
    publish.refresh(HOST, KEY)
    said = sandbox.klab("archive", "prune", "--keep", "1").answer
    assert (said["changed"], said["removed"]) == (False, [])
    assert A[:12] in said["msg"]
    assert B[:12] not in said["msg"]
    assert [item.digest for item in place.items()] == [B, A]
    assert sandbox.klab("archive", "prune", "--keep", "2").answer["msg"] == "nothing to remove"


def test_cache_keeps_the_newest_of_each_flavour(sandbox: Sandbox) -> None:
    for flavour, digest in (("lab", A), ("san", B), ("lab", C)):
        os.utime(kernel(flavour, digest).path / store.MANIFEST, (1, ord(digest[0])))
    young = sandbox.klab("cache", "prune", "--older-than", "100000").answer
    assert young["removed"] == []
    assert sandbox.klab("cache", "prune").answer["removed"] == [A]
    assert {entry.digest for entry in store.entries("kernels")} == {B, C}
