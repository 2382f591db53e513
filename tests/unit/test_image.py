# SPDX-License-Identifier: GPL-3.0-or-later
"""What names an image, what makes it reproducible, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from klab import digest as digests
from klab import store
from klab.errors import KlabError
from klab.image import build, claim, disk, plan, tree
from klab.paths import repo_dir

SETS = ("build", "base")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    return tmp_path / "cache"


def kernel(digest: str = "k1") -> store.Entry:
    return store.Entry("kernels", digest, Path("/nowhere"), {"release": "6.12.0-klab-lab"})


def wanted(
    sets: tuple[str, ...] = SETS,
    inputs: dict[str, object] | None = None,
    size: int = 12,
    built: store.Entry | None = None,
) -> plan.Plan:
    return plan.Plan("trixie", tuple(sorted(sets)), inputs or {}, size, "lab", built or kernel())


def test_the_order_of_sets_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan.artefact, "get", lambda flavour: kernel())
    one = plan.make("trixie", ["base", "build"], {}, 12, "lab")
    two = plan.make("trixie", ["build", "base", "base"], {}, 12, "lab")
    assert one.digest == two.digest


@pytest.mark.parametrize("other", [wanted(("base",)), wanted(inputs={"lab_machine_uid": 1001})])
def test_what_the_tree_is_made_of_names_the_tree(other: plan.Plan) -> None:
    assert other.rootfs_digest != wanted().rootfs_digest
    assert other.digest != wanted().digest


@pytest.mark.parametrize("other", [wanted(size=13), wanted(built=kernel("k2"))])
def test_kernel_and_size_name_the_disk_but_not_the_tree(other: plan.Plan) -> None:
    assert other.rootfs_digest == wanted().rootfs_digest
    assert other.digest != wanted().digest


def test_a_roles_text_names_the_tree_and_its_metadata_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in (*plan.ROOTFS_ROLES, *plan.IMAGE_ROLES):
        for name in ("tasks/main.yml", "meta/main.yml"):
            path = tmp_path / "roles" / role / name
            path.parent.mkdir(parents=True)
            path.write_text("1")
    monkeypatch.setattr(plan, "repo_dir", lambda: tmp_path)
    before = wanted().rootfs_digest
    (tmp_path / "roles/toolchain/meta/main.yml").write_text("2")
    assert wanted().rootfs_digest == before
    (tmp_path / "roles/toolchain/tasks/main.yml").write_text("2")
    assert wanted().rootfs_digest != before


@pytest.mark.parametrize("text", ["", "[]", "{'a': 1}"])
def test_inputs_are_one_json_object(text: str) -> None:
    with pytest.raises(KlabError, match="not a JSON object"):
        plan.inputs_of(text)


def test_a_packed_tree_has_the_same_bytes_whenever_it_was_made(tmp_path: Path, cache: Path) -> None:
    sums = []
    for name, order in (("one", ["a", "b"]), ("two", ["b", "a"])):
        root = tmp_path / name
        for folder in ("dev", "etc"):
            (root / folder).mkdir(parents=True)
        for file in order:
            (root / "etc" / file).write_text(file)
        (root / "dev" / f"only-{name}").write_text("")
        tree.pack(root, tmp_path / f"{name}.tar", epoch=1_700_000_000)
        sums.append(digests.of_file(tmp_path / f"{name}.tar"))
        time.sleep(0.01)
    assert sums[0] == sums[1]
    tree.unpack(tmp_path / "one.tar", tmp_path / "cache/work/t/root")
    assert (tmp_path / "cache/work/t/root/etc/b").read_text() == "b"
    assert not list((tmp_path / "cache/work/t/root/dev").iterdir())


def test_a_full_disk_leaves_no_tree(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "root").mkdir()
    with pytest.raises(KlabError, match="ran out of disk space") as caught:
        tree.pack(tmp_path / "root", Path("/dev/full"), epoch=0)
    assert "free some space" in caught.value.mend


def test_file_systems_of_two_images_differ_and_of_one_do_not() -> None:
    assert disk.mkfs_options("a") == disk.mkfs_options("a")
    assert disk.mkfs_options("a") != disk.mkfs_options("b")


def test_nothing_is_kept_or_sealed_without_a_tree(cache: Path) -> None:
    with pytest.raises(KlabError, match="no tree to keep"):
        build.keep(wanted())
    with pytest.raises(KlabError, match="no tree to seal"):
        build.seal(wanted())
    assert store.entries(plan.ROOTFS) == []
    assert store.entries(plan.IMAGES) == []


def test_a_tree_with_another_kernel_is_not_sealed(cache: Path) -> None:
    note = wanted().tree / "usr/lib/klab/kernels/6.12.0-klab-lab.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"digest": "k2"}))
    with pytest.raises(KlabError, match="does not hold the kernel"):
        build.seal(wanted())


def test_two_runs_never_share_a_tree(tmp_path: Path, cache: Path) -> None:
    folder = cache / "work/tree-x/root"
    folder.mkdir(parents=True)
    other = subprocess.Popen(["/bin/bash", "-c", "sleep 60; : ansible-playbook"])
    try:
        (folder.parent / "claim").write_text(f"{other.pid} {claim._stat(other.pid)[1]}")
        with pytest.raises(KlabError, match=rf"pid {other.pid}\) is already at work"), claim.held(folder):
            pass
    finally:
        other.kill()
        other.wait()
    with claim.held(folder):
        pass


def test_only_trees_that_nobody_works_on_are_abandoned(cache: Path) -> None:
    for name in ("tree-old", "tree-busy", "tree-mine", "kernels-x"):
        (cache / "work" / name).mkdir(parents=True)
    init = f"1 {claim._stat(1)[1]}"
    (cache / "work/tree-busy/claim").write_text(init)
    with claim.held(cache / "work/tree-mine/root"):
        assert [path.name for path in claim.abandoned()] == ["tree-old"]


def test_the_run_above_a_verb_is_found() -> None:
    code = "from klab.image import claim; print(claim.current_run())"
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    env = {**os.environ, "PYTHONPATH": str(repo_dir() / "src")}
    above = subprocess.Popen(
        [sys.executable, "-c", inner, "ansible-playbook"], stdout=subprocess.PIPE, text=True, env=env
    )
    said, _ = above.communicate(timeout=30)
    # Under molecule or a playbook the topmost run is the one above this test.
    assert said.strip() == (claim.current_run() or said.strip())
    assert said.split()[0] == (claim.current_run().split() or [str(above.pid)])[0]


def spec(role: str, entry: str = "main") -> dict[str, dict[str, object]]:
    text = (repo_dir() / "roles" / role / "meta/argument_specs.yml").read_text()
    return dict(yaml.safe_load(text)["argument_specs"][entry]["options"])


def variables(role: str) -> dict[str, dict[str, object]]:
    return dict(yaml.safe_load((repo_dir() / "roles" / role / "vars/main.yml").read_text()))


@pytest.mark.parametrize(
    ("role", "option"), [("toolchain", "toolchain_sets"), ("image", "image_toolchain_sets")]
)
def test_the_sets_that_roles_offer_are_those_that_exist(role: str, option: str) -> None:
    assert spec(role)[option]["choices"] == list(variables("toolchain")["__toolchain_sets"])


@pytest.mark.parametrize("name", list(variables("toolchain")["__toolchain_sets"]))
def test_each_set_has_packages_in_order_and_proofs(name: str) -> None:
    packages, proofs = (
        variables("toolchain")["__toolchain_sets"][name][key] for key in ("packages", "verify")
    )
    assert packages == sorted(set(packages))
    assert proofs


def test_each_kernel_setting_has_a_reason() -> None:
    for setting in variables("lab_machine")["__lab_machine_sysctls"].values():
        assert setting["reason"]
