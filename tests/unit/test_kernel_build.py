# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole kernel pipeline against tests/fixtures/fakelinux, with this host's tools."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fixtures import fakekernels, places
from klab import digest, store
from klab.errors import KlabError
from klab.kernel import artefact, build, cached, flavour, source

SYMBOLS = ["BPF_SYSCALL=y", "DEBUG_INFO_DWARF5=y", "EXT4=y", "FUSE=m", "MODULES=y"]
BASE = "\n".join(["# Enough to boot.", *(f"CONFIG_{symbol}" for symbol in SYMBOLS), ""])


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flavours.yml whose source is the fake tree, in a cache of its own."""
    folder = tmp_path / "kernels"
    (folder / "fragments").mkdir(parents=True)
    tarball = tmp_path / "fakelinux.tar"
    fakekernels.pack(tarball)
    flavours = {
        "sources": {
            "fake": {
                "provider": "tarball",
                "url": str(tarball),
                "version": "6.12.0-1",
                "sha256": digest.of_file(tarball),
            }
        },
        "flavours": {
            "lab": {
                "why": "tests",
                "source": "fake",
                "base": "allnoconfig",
                "fragments": ["base"],
                "cmdline": [],
                "objects": 5,
            }
        },
    }
    (folder / "flavours.yml").write_text(yaml.safe_dump(flavours))
    (folder / "fragments/base.config").write_text(BASE)
    places.own(monkeypatch, tmp_path, folder)
    flavour.read.cache_clear()
    return folder


def fragment(kernels: Path, text: str) -> None:
    (kernels / "fragments/base.config").write_text(BASE + text)


def unpacked() -> Path:
    """The cached source, to be changed behind klab's back."""
    entry = source.find(flavour.load("lab").source)
    assert entry is not None
    return entry.path / "tree"


def test_a_flavour_becomes_an_artefact_with_manifest_and_packages(kernels: Path) -> None:
    entry, built = build.ensure("lab")
    assert built
    facts = build.describe(entry)
    assert facts["release"] == "6.12.0-klab-lab"
    names = {Path(str(path)).name.split("_")[0] for path in facts["packages"]}
    assert names == {"linux-image-6.12.0-klab-lab", "linux-headers-6.12.0-klab-lab"}
    assert {path.name for path in entry.path.iterdir()} == {*entry.manifest["files"], "manifest.json"}
    # What runs can say which artefact it is.
    assert f"#{digest.short(entry.digest)} SMP" in (entry.path / "vmlinux").read_text()
    assert entry.manifest["symbols"]["FUSE"] == {
        "value": "m",
        "fragment": "base",
        "reason": "Enough to boot.",
    }


def test_the_same_digest_is_built_once_and_a_comment_is_no_reason(kernels: Path) -> None:
    first, _ = build.ensure("lab")
    (kernels / "fragments/base.config").write_text(BASE.replace("Enough", "Quite enough"))
    again, built = build.ensure("lab")
    assert not built
    assert again.path == first.path
    fragment(kernels, "CONFIG_PAGE_OWNER=y\n")
    assert artefact.find("lab") is None


def test_two_builds_give_the_same_bytes(
    kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = build.ensure("lab")
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "elsewhere"))
    second, _ = build.ensure("lab")
    assert first.path != second.path
    for name in ("bzImage", "config", "System.map", "gdb-scripts.tar"):
        assert digest.of_file(first.file(name)) == digest.of_file(second.file(name)), name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CONFIG_NO_SUCH_THING=y\n", "no such symbol"),
        ("CONFIG_VIRTIO_FS=y\n", "needs FUSE"),
        ("\n# Why.\nCONFIG_DEBUG_INFO_NONE=y\n", "one of a choice"),
        ("\n# Why.\nCONFIG_HZ=5000\n", "CONFIG_HZ=5000"),
    ],
)
def test_a_dropped_symbol_stops_the_run_before_compiling(kernels: Path, text: str, said: str) -> None:
    fragment(kernels, text)
    with pytest.raises(KlabError) as caught:
        build.ensure("lab")
    assert said in caught.value.what
    assert "base.config:" in caught.value.what
    assert not list((kernels.parent / "cache/trees").rglob("*.o"))


def test_an_unknown_flavour_is_told_with_the_known_ones(kernels: Path) -> None:
    with pytest.raises(KlabError, match="no kernel flavour 'lap'") as caught:
        build.ensure("lap")
    assert "did you mean lab?" in caught.value.mend


def test_a_source_with_another_checksum_is_refused(kernels: Path) -> None:
    path = kernels / "flavours.yml"
    data = yaml.safe_load(path.read_text())
    data["sources"]["fake"]["sha256"] = "0" * 64
    path.write_text(yaml.safe_dump(data))
    flavour.read.cache_clear()
    with pytest.raises(KlabError, match="not the pinned 0000"):
        build.ensure("lab")
    assert source.find(flavour.load("lab").source) is None


def test_a_compile_error_names_step_and_log_and_leaves_no_artefact(kernels: Path) -> None:
    fragment(kernels, "\n# Why.\nCONFIG_BROKEN_DRIVER=y\n")
    with pytest.raises(KlabError, match="#error") as caught:
        build.ensure("lab")
    assert caught.value.step == "kernel_build: compile lab"
    assert "compile" in caught.value.step
    assert Path(caught.value.log).is_file()
    assert artefact.find("lab") is None


def test_a_build_that_was_killed_goes_on(kernels: Path) -> None:
    fragment(kernels, "\n# Why.\nCONFIG_BROKEN_DRIVER=y\n")
    with pytest.raises(KlabError):
        build.ensure("lab")
    kept = [path.name for path in (kernels.parent / "cache/trees").rglob("*.o")]
    assert "ext4.o" in kept
    (unpacked() / "lib/broken_driver.c").write_text("int broken_driver(void) { return 0; }\n")
    entry, _ = build.ensure("lab")
    compiled = (kernels.parent / "state/logs/kernel_build-lab.log").read_text()
    assert "broken_driver.o" in compiled
    assert "ext4.o" not in compiled
    assert entry.manifest["cost"]["resumed"]


def test_a_build_that_is_under_way_is_not_started_twice(kernels: Path) -> None:
    tools = {"host": "tests"}
    with store.drafting(cached.KIND, artefact.plan("lab", tools).digest, keep=True):
        done = subprocess.run(
            [sys.executable, "-m", "klab", "kernel", "build"], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"another klab run (pid {os.getpid()})" in done.stderr


def test_ctrl_c_ends_a_run_with_130_and_without_a_trace_back(kernels: Path) -> None:
    source.ensure(flavour.load("lab").source)
    (unpacked() / "scripts/compile.sh").write_text("#!/bin/sh\nsleep 60\n")
    # As a terminal starts it: a test run in the background of a script ignores Ctrl-C,
    # and its children inherit that.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "klab", "kernel", "build"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log = kernels.parent / "state/logs/kernel_build-lab.log"
    end = time.monotonic() + 20
    while not (log.exists() and "bindeb-pkg" in log.read_text()):
        assert time.monotonic() < end
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Traceback" not in said
    assert "goes on from here" in said


def test_an_artefact_outlives_its_flavour(kernels: Path) -> None:
    build.ensure("lab")
    path = kernels / "flavours.yml"
    path.write_text(path.read_text().replace("lab:", "other:"))
    flavour.read.cache_clear()
    (entry,) = store.entries(cached.KIND)
    assert build.describe(entry)["flavour"] == "lab"
    with pytest.raises(KlabError):
        build.hand_over(entry, "lab")
