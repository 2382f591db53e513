# SPDX-License-Identifier: GPL-3.0-or-later
"""Flavours as they are described: built, fetched, a student's own; and their toolchains."""

from pathlib import Path

import pytest
import yaml

from conftest import Sandbox
from fixtures import fakekernels
from klab.errors import KlabError
from klab.kernel import artefact, build, flavour, root
from klab.paths import repo_dir

VERSIONS = {"gcc-14": "14.2.0"}


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake kernel's flavours, with a cache of their own."""
    folder = fakekernels.lay_out(tmp_path / "kernels")
    monkeypatch.setenv("KLAB_KERNELS", str(folder))
    monkeypatch.setenv("KLAB_BUILD_ROOT", "host")
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    flavour.read.cache_clear()
    return folder


def change(kernels: Path, name: str, **fields: object) -> None:
    """Describe a flavour differently; a field that is None is taken out."""
    path = kernels / "flavours.yml"
    data = yaml.safe_load(path.read_text())
    body = {**data["flavours"].get(name, {}), **fields}
    data["flavours"][name] = {key: value for key, value in body.items() if value is not None}
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    flavour.read.cache_clear()


def mine(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.config"
    path.write_text(text)
    return path


def test_the_catalogue_is_sound() -> None:
    flavour.read.cache_clear()
    used = set()
    for name in flavour.names():
        known = flavour.load(name)
        assert known.toolchain in root.toolchains()
        if isinstance(known, flavour.Built):
            assert known.requests()  # no two fragments at odds
            used |= set(known.fragments)
    assert used == set((repo_dir() / "labs/_kernels/fragments").iterdir()), "a fragment that nobody uses"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"base": "randconfig"}, "flavours/tiny"),
        ({"colour": "red"}, "colour"),
        (
            {"packages": {"suite": "trixie", "version": "1", "names": {"linux-image-1": "0" * 64}}},
            "flavours/tiny",
        ),
        ({"source": None}, "flavours/tiny"),
        ({"promises": "kasan"}, "flavours/tiny/promises"),
    ],
)
def test_a_description_that_does_not_fit_is_refused_with_its_place(
    kernels: Path, fields: dict[str, object], said: str
) -> None:
    change(kernels, "tiny", **fields)
    with pytest.raises(KlabError, match=said) as caught:
        flavour.load("tiny")
    assert "flavours.json" in caught.value.mend


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"source": "nosuch"}, "names the source 'nosuch'"),
        ({"fragments": ["base", "nosuch"]}, "names the fragment nosuch.config"),
    ],
)
def test_a_part_that_does_not_exist_is_named(kernels: Path, fields: dict[str, object], said: str) -> None:
    change(kernels, "tiny", **fields)
    with pytest.raises(KlabError, match=said):
        flavour.load("tiny")


def test_a_toolchain_that_does_not_exist_is_named_with_those_that_do(kernels: Path) -> None:
    change(kernels, "tiny", toolchain="icc")
    with pytest.raises(KlabError, match="names the toolchain 'icc'") as caught:
        flavour.load("tiny")
    assert "gcc, llvm" in caught.value.mend


def test_a_fetched_kernel_is_its_packages(kernels: Path) -> None:
    packages = {"suite": "trixie", "version": "6.12.1-1", "names": {"linux-image-1": "0" * 64}}
    built = ("source", "base", "fragments", "objects")
    change(kernels, "tiny", packages=packages, **dict.fromkeys(built))
    fetched = flavour.load("tiny")
    assert isinstance(fetched, flavour.Fetched)
    first = artefact.order(fetched).digest
    packages["names"] = {"linux-image-1": "1" * 64}
    change(kernels, "tiny", packages=packages)
    other = flavour.load("tiny")
    assert isinstance(other, flavour.Fetched)
    assert artefact.order(other).digest != first
    with pytest.raises(KlabError, match="fetched as Debian built it"):
        flavour.built("tiny")


def test_llvm_adds_to_gcc_and_leaves_its_digest_alone() -> None:
    gcc, llvm = root.wanted("gcc"), root.wanted("llvm")
    assert gcc.packages < llvm.packages
    assert gcc.decisive < llvm.decisive
    assert not {name for name in gcc.decisive if "clang" in name or "lld" in name}
    assert (gcc.make, llvm.make) == ((), ("LLVM=1",))
    assert "clang" not in root.wanted("archive").packages


def test_the_root_of_no_toolchain_is_refused() -> None:
    with pytest.raises(KlabError, match="no build root 'icc'") as caught:
        root.wanted("icc")
    assert "gcc, llvm" in caught.value.mend


def test_conditions_and_optional_symbols_are_in_the_manifest(kernels: Path) -> None:
    entry, _ = build.ensure("lines")
    symbols = entry.manifest["symbols"]
    assert not {"COMES_LATER", "GONE"} & set(symbols)
    assert "dropped" not in symbols["EXT4"]
    assert (symbols["VIRTIO_FS"]["value"], symbols["VIRTIO_FS"]["dropped"]) == ("y", "n")
    assert symbols["VIRTIO_FS"]["optional"] == "without FUSE nobody misses it"


def test_own_fragments_stand_on_tinyconfig(kernels: Path, tmp_path: Path) -> None:
    given = [mine(tmp_path, "CONFIG_MODULES=y\nCONFIG_EXT4=y\n")]
    entry, built = build.ensure("mine", given)
    assert built
    config = entry.file("config").read_text()
    assert "CONFIG_EXT4=y" in config
    assert "CONFIG_HZ=100\n" in config, "tinyconfig's own choice is lost"
    assert "CONFIG_BPF_SYSCALL=y" not in config, "the flavour's own fragment is still there"
    assert artefact.find("mine", given) is not None
    assert artefact.find("mine") is None, "another kernel than the flavour's own"


def test_each_students_kernel_has_a_digest_of_its_own(kernels: Path, tmp_path: Path) -> None:
    own = artefact.plan("mine", VERSIONS)
    first = artefact.plan("mine", VERSIONS, [mine(tmp_path, "CONFIG_EXT4=y\n")])
    again = artefact.plan("mine", VERSIONS, [mine(tmp_path, "# A reason.\nCONFIG_EXT4=y\n")])
    other = artefact.plan("mine", VERSIONS, [mine(tmp_path, "CONFIG_EXT4=m\n")])
    assert first.digest == again.digest
    assert len({own.digest, first.digest, other.digest}) == 3


def test_a_students_mistakes_are_told(sandbox: Sandbox) -> None:
    prove = ("kernel", "prove", "--flavour")
    path = mine(sandbox.folder, "CONFIG_EXT4=y\nCONFIG_HZ=100\nCONFIG_EXT4=m\n")
    sandbox.klab(*prove, "mine", "--fragment", str(path)).refused(
        "CONFIG_EXT4 is y in mine.config:1, but m in mine.config:3", step="fragments", mend="take it out"
    )
    path.write_text("CONFIG_VIRTIO_FS=y\nCONFIG_FUZE=y\n")
    error = sandbox.klab(*prove, "mine", "--fragment", str(path)).refused(
        "CONFIG_FUZE=y (mine.config:2) became n: this tree has no such symbol; near: FUSE",
        step="resolve config",
        mend="add what is needed",
    )
    assert "CONFIG_VIRTIO_FS=y (mine.config:1) became n: needs FUSE" in error["what"]
    sandbox.klab(*prove, "tiny", "--fragment", str(path)).refused(
        "made of its own fragments only", step="read flavours", mend="mine"
    )


def test_what_may_be_dropped_is_said(sandbox: Sandbox) -> None:
    said = sandbox.klab("kernel", "prove", "--flavour", "lines").answer
    assert said["dropped"] == ["VIRTIO_FS"]
    assert "CONFIG_VIRTIO_FS became n, and may: without FUSE nobody misses it" in said["msg"]
