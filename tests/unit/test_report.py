# SPDX-License-Identifier: GPL-3.0-or-later
"""The end summary: made or reused, stages, and a login line that works as typed."""

import json
import os
import time

import pytest

from klab import report
from klab.machine.model import Machine
from klab.paths import log_dir, tilde


@pytest.fixture
def guest(tmp_path, monkeypatch) -> Machine:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("KLAB_CACHE", str(tmp_path / "cache"))
    made = Machine(
        name="m1",
        uuid="7a6fa3a6-6f0a-4b3e-9d1f-3f2a4d0f5c13",
        machine_type="q35",
        memory=512,
        cpus=2,
        ssh_port=2222,
        gdb_port=1234,
        accel="tcg",
        accel_reason="the guest stood still",
        kernel={"digest": "ab" * 32, "release": "6.12.1-klab-lab", "flavour": "lab"},
        image={"digest": "cd" * 32},
        created=int(time.time()) - 9000,
    )
    made.dir.mkdir(parents=True)
    return made


def entry(tmp_path, kind: str, digest: str, age_s: float, wall_s: float) -> None:
    folder = tmp_path / "cache" / kind / digest
    folder.mkdir(parents=True)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({"files": {}, "wall_s": wall_s}))
    os.utime(manifest, (time.time() - age_s,) * 2)


def ran(*stages: tuple[str, float]) -> None:
    log_dir().mkdir(parents=True, exist_ok=True)
    listed = [{"name": name, "wall_s": wall} for name, wall in stages]
    (log_dir() / "stages.json").write_text(json.dumps({"stages": listed}))


def test_made_and_reused(guest, tmp_path):
    ran(("Build the kernel", 1200.0), ("Build the image", 2.0))
    entry(tmp_path, "kernels", "ab" * 32, age_s=60, wall_s=1150)
    entry(tmp_path, "images", "cd" * 32, age_s=7200, wall_s=300)
    body = report.facts(guest)
    assert "6.12.1-klab-lab, flavour lab; abababababab, made now in 19 min" in body["kernel"]
    assert "reused, made on" in body["image"]
    assert "reused" in body["machine"]
    assert body["stages"] == "Build the kernel 20 min, Build the image 2 s"
    assert body["accelerator"] == "tcg: the guest stood still"


def test_login_line_is_short_and_whole(guest):
    body = report.facts(guest)
    assert body["log in"] == "ssh -F ~/state/machines/m1/ssh_config m1"
    assert body["logs"] == "~/state/logs"


def test_without_a_run_nothing_is_new(guest):
    assert report.facts(guest)["stages"] == "no playbook ran"
    assert "not from the cache" in report.facts(guest)["kernel"]


def test_broken_notes_are_no_trouble(guest):
    log_dir().mkdir(parents=True)
    (log_dir() / "stages.json").write_text("{")
    assert report.stages().names == []


def test_text_is_a_column(guest):
    lines = report.text(report.facts(guest)).splitlines()
    assert lines[0].startswith("machine      m1, off")
    assert any(line.startswith("log in") for line in lines)


def test_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/x")
    assert tilde("/home/x/a") == "~/a"
    assert tilde("/home/xy/a") == "/home/xy/a"
