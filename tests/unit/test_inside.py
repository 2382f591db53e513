# SPDX-License-Identifier: GPL-3.0-or-later
"""What role micro_guest lays on a lab machine: that it is whole, and that it is no more than it should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from klab.debuggee import model
from klab.desk import place
from klab.errors import KlabError
from klab.guest import initramfs, pack, qemu
from klab.kernel import supply


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive, with a file for the initramfs."""
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    base = tmp_path / "base.cpio"
    base.write_bytes(b"an archive")
    monkeypatch.setattr(initramfs, "ensure", lambda: base)
    return pack.ensure().file(pack.NAME)


def unpacked(archive: Path, folder: Path) -> Path:
    """The archive's content below `folder`."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def called(laid: Path, home: Path, words: str) -> str:
    """What it answers to a call, without any library but its own."""
    env = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(laid),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    argv = [sys.executable, "-S", "-m", "klab.desk.inside"]
    done = subprocess.run(argv, input=words, env=env, cwd="/", capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout


def test_it_needs_nothing_but_python(archive: Path, tmp_path: Path) -> None:
    laid = unpacked(archive, tmp_path / "laid")
    assert "Guests inside of this machine" in called(laid, tmp_path, "'' '' --help\n")
    assert "It was down.\n\x1e0\n" in called(laid, tmp_path, "'' '' debuggee down\n")
    assert "no kernel of flavour 'nothing'" in called(laid, tmp_path, "'' '' guest nothing true\n")
    assert "There is none yet" in called(laid, tmp_path, "'' '' dump list\n")


def test_it_holds_no_grader_and_none_of_what_runs_them(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert "klab/desk/inside.py" in names
    assert not [name for name in names if "outcome" in name or "solution" in name]
    assert not [
        name
        for name in names
        if name.startswith(tuple(f"klab/{part}/" for part in ("lab", "testing", "cli")))
    ]
    assert not [name for name in names if name.endswith(".so")]


def test_the_same_code_is_the_same_archive(archive: Path) -> None:
    assert pack.ensure().file(pack.NAME) == archive


@pytest.fixture
def laid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two kernels of one flavour, and klab laid on it."""
    boot = tmp_path / "boot"
    boot.mkdir()
    for age, release in enumerate(["6.12.2-klab-lab", "6.12.1-klab-lab", "6.12.48+deb13-amd64"]):
        (boot / f"vmlinuz-{release}").write_text(release)
        (boot / f"config-{release}").write_text("CONFIG_X=y\n")
        os.utime(boot / f"vmlinuz-{release}", (1000 + age, 1000 + age))
    (tmp_path / supply.NOTE).write_text(json.dumps({"flavours": {"lab": "dma_debug=off"}}))
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(supply, "BOOT", boot)
    monkeypatch.setattr(supply, "DEBUG", tmp_path / "debug")
    (tmp_path / "debug/6.12.1-klab-lab").mkdir(parents=True)
    (tmp_path / "debug/6.12.1-klab-lab/vmlinux").write_text("symbols")
    for module in (supply, initramfs, qemu):
        monkeypatch.setattr(module, "laid", lambda: tmp_path)
    return tmp_path


def test_a_machine_offers_its_newest_kernel_of_a_flavour(laid: Path) -> None:
    kernel = supply.kernel("lab")
    assert kernel.file("bzImage").read_text() == "6.12.1-klab-lab"
    assert kernel.manifest["release"] == "6.12.1-klab-lab"
    assert supply.kernel("lab").digest == kernel.digest
    assert model.symbols(kernel, "lab").file("vmlinux").read_text() == "symbols"
    assert supply.cmdline("lab") == "dma_debug=off"
    with pytest.raises(KlabError, match="no kernel of flavour 'san'") as error:
        supply.kernel("san")
    assert "it has: lab" in error.value.mend


def test_there_a_guests_time_is_counted_in_instructions(laid: Path) -> None:
    shape = qemu.Shape(laid, initramfs.ensure(), "tcg", 256, 1)
    assert "-icount" in qemu.words(shape, laid)
    kvm = qemu.Shape(laid, initramfs.ensure(), "kvm", 256, 1)
    assert "-icount" not in qemu.words(kvm, laid)


def test_its_folder_is_that_of_the_one_who_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "labs/mine").mkdir(parents=True)
    (tmp_path / "labs/mine/word").write_text("hello")
    (tmp_path / "out").mkdir()
    assert place.get(place.Here(), "mine", tmp_path / "out")
    assert (tmp_path / "out/word").read_text() == "hello"
    (tmp_path / "out/word").write_text("changed")
    place.update(place.Here(), "mine", tmp_path / "out", ["word"])
    assert (tmp_path / "labs/mine/word").read_text() == "changed"
    assert not place.get(place.Here(), "other", tmp_path / "out")
