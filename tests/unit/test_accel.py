# SPDX-License-Identifier: GPL-3.0-or-later
"""The accelerator probe: its image is its source, and its verdict is never a guess."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from klab import accel
from klab.paths import data_file

BINUTILS = shutil.which("as") and shutil.which("ld")
QEMU = shutil.which(accel.QEMU)


@pytest.mark.skipif(not BINUTILS, reason="cannot tell: no binutils on this host to assemble probe.S")
def test_image_is_its_source(tmp_path):
    subprocess.run(["as", "--32", "-o", tmp_path / "o", data_file("probe.S")], check=True)
    link = ["ld", "-m", "elf_i386", "-Ttext", "0x100000", "--oformat", "binary", "-o", tmp_path / "bin"]
    subprocess.run([*link, tmp_path / "o"], check=True)
    assert (tmp_path / "bin").read_bytes() == data_file("probe.bin").read_bytes()


def test_emulation_passes():
    attempt = accel.boot([accel.QEMU, "-accel", "tcg", "-cpu", accel.CPU["tcg"]], 20)
    assert attempt.passed, attempt.reason


def test_a_guest_that_cannot_run_is_noticed():
    """A CPU without long mode: the guest dies on the way."""
    attempt = accel.boot([accel.QEMU, "-accel", "tcg", "-cpu", "pentium3"], 20)
    assert not attempt.passed
    assert "the guest crashed" in attempt.reason
    assert "32-bit protected mode" in attempt.reason


def test_a_guest_that_hangs_meets_the_deadline():
    began = time.monotonic()
    attempt = accel.boot([accel.QEMU, "-accel", "tcg", "-S"], 1)
    assert time.monotonic() - began < 3
    assert attempt.reason == "guest did not reach its marker in 1 s: the guest printed nothing"


def test_a_marker_alone_is_not_believed(tmp_path):
    """The guest must also have left through the exit device."""
    liar = tmp_path / "liar"
    liar.write_text(
        '#!/bin/sh\nfor a; do case "$a" in file:*) echo "klab-probe passed" >"${a#file:}";; esac; done\n'
    )
    liar.chmod(0o755)
    attempt = accel.boot([str(liar)], 2)
    assert not attempt.passed


def test_internal_error_ends_the_wait(tmp_path):
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\necho 'KVM internal error. Suberror: 1' >&2\nexec sleep 60\n")
    fake.chmod(0o755)
    attempt = accel.boot([str(fake)], 30)
    assert not attempt.passed
    assert attempt.reason.startswith("KVM internal error")


def test_missing_qemu_is_an_answer():
    assert "cannot be run" in accel.boot(["/nonexistent/qemu"], 1).reason


def test_verdict_agrees_with_a_boot_and_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path))
    first = accel.probe()
    assert not first.cached
    assert first.accel in accel.CPU
    assert first.reason
    if first.accel == "kvm":
        assert accel.boot([accel.QEMU, "-accel", "kvm", "-cpu", accel.CPU["kvm"]], 20).passed
    again = accel.probe()
    assert again.cached
    assert (again.accel, again.reason) == (first.accel, first.reason)
    assert not accel.probe(fresh=True).cached


def test_a_changed_host_is_asked_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path))
    accel.probe()
    monkeypatch.setattr(accel, "KVM_NODE", Path("/nonexistent/kvm"))
    verdict = accel.probe()
    assert not verdict.cached
    assert verdict.accel == "tcg"
    assert "does not exist" in verdict.reason


def test_nothing_runs_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(accel, "QEMU", "/nonexistent/qemu")
    with pytest.raises(accel.KlabError, match="QEMU runs no guest here"):
        accel.probe()
