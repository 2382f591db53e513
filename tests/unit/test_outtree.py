# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build may keep of the one before, and that keeping it changes no byte."""

import os
import re
import shutil
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from fixtures import fakekernels, places
from klab import digest, lock, store
from klab.cli import cache
from klab.errors import KlabError
from klab.kernel import artefact, build, flavour, outtree

BASE = "# Enough to boot.\nCONFIG_EXT4=y\nCONFIG_FUSE=m\nCONFIG_MODULES=y\n"
TOOL = "\n# A tool of the build comes with it.\nCONFIG_BPF_SYSCALL=y\nCONFIG_DEBUG_INFO_DWARF5=y\n"


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake kernel's flavours with `tiny` on one fragment, in a cache of its own."""
    folder = fakekernels.lay_out(tmp_path / "kernels")
    data = yaml.safe_load((folder / "flavours.yml").read_text())
    data["flavours"]["tiny"]["fragments"] = ["base"]
    data["flavours"]["twin"] = data["flavours"]["tiny"]
    (folder / "flavours.yml").write_text(yaml.safe_dump(data))
    places.own(monkeypatch, tmp_path, folder)
    flavour.read.cache_clear()
    return folder


def made(kernels: Path, text: str, name: str = "tiny") -> store.Entry:
    """Build a flavour of which the fragment says BASE and `text`."""
    (kernels / "fragments/base.config").write_text(BASE + text)
    entry, built = build.ensure(name)
    assert built
    return entry


def compiled(kernels: Path, name: str = "tiny") -> set[str]:
    log = (kernels.parent / f"state/logs/kernel_build-{name}.log").read_text()
    return set(re.findall(r"^ +CC +(?:\[M\] +)?\S*/(\w+)\.o$", log, re.MULTILINE))


def same(first: store.Entry, second: store.Entry) -> bool:
    files = [{name: stamp["sha256"] for name, stamp in e.manifest["files"].items()} for e in (first, second)]
    assert first.digest == second.digest
    return files[0] == files[1]


def elsewhere(kernels: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> store.Entry:
    """The same kernel built from nothing, in a cache of its own."""
    monkeypatch.setenv("KLAB_CACHE", str(kernels.parent / "elsewhere"))
    entry = made(kernels, text)
    monkeypatch.setenv("KLAB_CACHE", str(kernels.parent / "cache"))
    return entry


MORE = TOOL + "\n# More.\nCONFIG_PAGE_OWNER=y\n"


@pytest.mark.parametrize(
    ("before", "after", "anew"),
    [
        (TOOL, MORE, {"page_owner"}),
        (MORE, TOOL, set()),
        (TOOL, "", set()),  # and the tool that went with BPF_SYSCALL is in no package
        ("", TOOL, {"bpf", "bpf_syscall", "kallsyms"}),
        (TOOL, TOOL + "\n# Ticks.\nCONFIG_HZ=1000\n", {"ext4", "fuse", "bpf", "kallsyms"}),
    ],
)
def test_only_what_changed_is_compiled_and_the_bytes_are_those_of_a_build_from_nothing(
    kernels: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, anew: set[str]
) -> None:
    fresh = made(kernels, before)
    assert not fresh.manifest["cost"]["resumed"]
    again = made(kernels, after)
    assert again.manifest["cost"]["resumed"]
    seen = compiled(kernels)
    assert anew <= seen
    if "ext4" not in anew:
        assert "ext4" not in seen
    assert same(again, elsewhere(kernels, after, monkeypatch))


def test_a_half_written_object_is_not_taken_for_whole(kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(kernels, TOOL)
    (tree,) = outtree.kept()
    time.sleep(0.02)
    (tree / "out/fs/ext4.o").write_text("cut o")
    again = made(kernels, MORE)
    assert "ext4" in compiled(kernels)
    assert same(again, elsewhere(kernels, MORE, monkeypatch))


def test_a_run_cut_off_between_sweep_and_putting_back_goes_on(
    kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(kernels, TOOL)
    (tree,) = outtree.kept()
    outtree.sweep(outtree.Outtree(tree, fresh=False))
    again = made(kernels, MORE)
    assert "ext4" not in compiled(kernels)
    assert not (tree / "before").exists()
    assert same(again, elsewhere(kernels, MORE, monkeypatch))


def test_a_flavour_much_like_another_begins_with_a_copy_of_its_tree(kernels: Path) -> None:
    made(kernels, TOOL)
    twin, _ = build.ensure("twin")
    assert twin.manifest["cost"]["resumed"]
    assert compiled(kernels, "twin") == set()
    assert len(outtree.kept()) == 2


def test_one_that_is_not_alike_does_not(kernels: Path) -> None:
    made(kernels, TOOL)
    assert not made(kernels, "", "twin").manifest["cost"]["resumed"]


@pytest.mark.parametrize(
    ("whole", "before_boot_s", "kept"),
    [(True, 10.0, False), (True, 10_000.0, True), (False, 10_000.0, False), (False, -10.0, True)],
)
def test_what_a_power_cut_may_have_torn_is_not_used(
    kernels: Path, monkeypatch: pytest.MonkeyPatch, whole: bool, before_boot_s: float, kept: bool
) -> None:
    made(kernels, TOOL)
    (tree,) = outtree.kept()
    now = time.time()
    outtree._note(tree, {}, whole=whole)
    uptime = 100.0
    monkeypatch.setattr(time, "clock_gettime", lambda _: uptime)
    at = f'"at": {now - uptime - before_boot_s}'
    state = tree / "state.json"
    state.write_text(re.sub(r'"at": [\d.e+]+', at, state.read_text()))
    assert made(kernels, MORE).manifest["cost"]["resumed"] is kept


def test_old_trees_make_room(kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outtree, "LIMIT_GB", 0)
    made(kernels, TOOL)
    build.ensure("twin")
    assert [path.name.partition("-")[0] for path in outtree.kept()] == ["twin"]


def test_a_tree_at_work_is_neither_taken_nor_removed(kernels: Path) -> None:
    made(kernels, TOOL)
    (tree,) = outtree.kept()
    with lock.held(outtree._lock(tree), "it"):
        assert not outtree.remove(tree)
        twin, _ = build.ensure("twin")
        assert not twin.manifest["cost"]["resumed"]
        with pytest.raises(KlabError, match="already at work on the kernel of flavour tiny"):
            made(kernels, MORE)
    assert outtree.remove(tree)


def test_a_tree_keeps_no_products(kernels: Path) -> None:
    made(kernels, TOOL)
    (tree,) = outtree.kept()
    names = {path.name for path in (tree / "out").rglob("*")}
    assert not names & {"vmlinux", "System.map", "bzImage", "fuse.ko", "debian"}
    assert {"ext4.o", "fuse.o", ".config"} <= names
    assert not list(tree.glob("linux-*"))


def test_a_swept_file_keeps_its_age_only_with_its_content(tmp_path: Path) -> None:
    tree = outtree.Outtree(tmp_path, fresh=False)
    generated = tree.out / "include/generated"
    generated.mkdir(parents=True)
    for name in ("same.h", "other.h", "gone.h"):
        (generated / name).write_text(name)
        os.utime(generated / name, ns=(1, 1_000_000_001))
    outtree.sweep(tree)
    assert not generated.exists()
    generated.mkdir()
    (generated / "same.h").write_text("same.h")
    (generated / "other.h").write_text("changed")
    outtree.put_back_ages(tree)
    assert (generated / "same.h").stat().st_mtime_ns == 1_000_000_001
    assert (generated / "other.h").stat().st_mtime_ns > 1_000_000_001
    assert not (generated / "gone.h").exists()


def test_what_is_derived_from_the_config_is_derived_before_it_is_used(tmp_path: Path) -> None:
    tree = outtree.Outtree(tmp_path, fresh=False)
    derived = tree.out / "include/config/auto.conf"
    derived.parent.mkdir(parents=True)
    (tree.out / ".config").touch()
    derived.touch()
    time.sleep(0.01)
    outtree.sweep(tree)
    assert (tree.out / ".config").stat().st_mtime_ns > derived.stat().st_mtime_ns


def test_another_source_gets_another_tree(kernels: Path) -> None:
    made(kernels, TOOL)
    path = kernels / "flavours.yml"
    data = yaml.safe_load(path.read_text())
    packed = kernels / "linux2.tar"
    shutil.copy(kernels / "linux.tar", packed)
    with packed.open("ab") as stream:
        stream.write(bytes(10_240))  # the same files, another archive
    data["sources"]["fake"] |= {"url": str(packed), "sha256": digest.of_file(packed)}
    path.write_text(yaml.safe_dump(data))
    flavour.read.cache_clear()
    entry, _ = build.ensure("tiny")
    assert not entry.manifest["cost"]["resumed"]
    assert artefact.get("tiny").digest == entry.digest


def test_klab_cache_shows_trees_and_prunes_superseded_ones(kernels: Path) -> None:
    made(kernels, TOOL)
    (tree,) = outtree.kept()
    old = tree.with_name("tiny-000000000000")
    shutil.copytree(tree, old, symlinks=True)
    os.utime(old / "state.json", (1, 1))
    klab = CliRunner()
    assert f"trees    {tree.name[:18]}" in klab.invoke(cache.command, ["list"]).output
    assert f"would be removed: trees {old.name}" in klab.invoke(cache.command, ["prune", "--check"]).output
    assert old.exists()
    assert f"removed: trees {old.name}" in klab.invoke(cache.command, ["prune"]).output
    assert outtree.kept() == [tree]
