# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's roles leave behind, read without klab's own code for it."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from klab.paths import cache_dir

FOLDER = cache_dir() / "work/ci"


@pytest.fixture(scope="module")
def handed_over() -> dict:
    return json.loads((FOLDER / "artefact.json").read_text())


@pytest.fixture(scope="module")
def manifest(handed_over: dict) -> dict:
    return json.loads((Path(handed_over["path"]) / "manifest.json").read_text())


def test_artefact_lies_under_its_digest_and_alone(handed_over: dict) -> None:
    kernels = FOLDER / "cache/kernels"
    assert [path.name for path in kernels.iterdir()] == [handed_over["digest"]]
    assert Path(handed_over["path"]) == kernels / handed_over["digest"]


def test_files_are_what_the_manifest_says(handed_over: dict, manifest: dict) -> None:
    assert {"bzImage", "vmlinux", "config", "System.map", "gdb-scripts.tar"} <= set(manifest["files"])
    for name, facts in manifest["files"].items():
        content = (Path(handed_over["path"]) / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == facts["sha256"], name


def test_each_request_is_in_the_config_with_its_reason(handed_over: dict, manifest: dict) -> None:
    config = (Path(handed_over["path"]) / "config").read_text().splitlines()
    assert {"DEBUG_INFO_BTF", "FUSE", "HZ"} <= set(manifest["symbols"])
    for name, asked in manifest["symbols"].items():
        assert f"CONFIG_{name}={asked['value']}" in config
        assert asked["reason"]
        assert asked["fragment"] in {"base", "modules"}


def test_kernel_carries_its_digest(handed_over: dict) -> None:
    first_line = (Path(handed_over["path"]) / "bzImage").read_text().splitlines()[0]
    assert first_line.startswith("Linux version 6.12.0-klab-tiny (klab@klab)")
    assert f"#{handed_over['digest'][:12]} SMP" in first_line


def test_packages_hold_kernel_and_modules(handed_over: dict) -> None:
    image = next(path for path in handed_over["packages"] if "/linux-image-" in path)
    listed = subprocess.run(["dpkg-deb", "-c", image], capture_output=True, text=True, check=True).stdout
    for name in ("boot/vmlinuz-6.12.0-klab-tiny", "lib/modules/6.12.0-klab-tiny/kernel/fs/fuse.ko"):
        assert f"./{name}\n" in listed
    fields = subprocess.run(
        ["dpkg-deb", "-f", image, "Package", "Version"], capture_output=True, text=True, check=True
    ).stdout
    assert "Package: linux-image-6.12.0-klab-tiny" in fields
    assert handed_over["digest"][:12] in fields
