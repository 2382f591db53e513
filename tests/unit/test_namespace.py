# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees are removed, and what is mounted in them is never touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from klab import namespace
from klab.errors import KlabError


def test_a_tree_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/file").write_text("")
    namespace.remove(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    namespace.remove(tmp_path / "tree")


def test_one_s_own_is_removed_without_a_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "wrap", lambda words: ["false"])
    (tmp_path / "tree/deep").mkdir(parents=True)
    namespace.remove(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    namespace.remove(tmp_path / "link")
    assert (tmp_path / "precious").is_dir()


def test_mounts_are_found_deepest_first_and_neighbours_are_not(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    points = ["/", tmp_path / "tree/dev", tmp_path / "tree/dev/shm", tmp_path / "tree-2/dev"]
    table.write_text("".join(f"1 0 8:1 / {point} rw - ext4 /dev/x rw\n" for point in points))
    assert namespace.mounts_below(tmp_path / "tree", table) == [
        f"{tmp_path}/tree/dev/shm",
        f"{tmp_path}/tree/dev",
    ]


def test_what_is_mounted_in_a_tree_survives(tmp_path: Path) -> None:
    """A real bind mount, in a mount namespace of its own: as a killed mmdebstrap left it."""
    for folder in ("tree/shm", "host"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "host/precious").write_text("")
    code = f"from pathlib import Path; from klab import namespace; namespace.remove(Path('{tmp_path}/tree'))"
    script = f'mount --bind {tmp_path}/host {tmp_path}/tree/shm && exec {sys.executable} -c "{code}"'
    done = subprocess.run(
        namespace.wrap(["/bin/sh", "-c", script], mounts=True), capture_output=True, text=True, check=False
    )
    assert "file systems are mounted in it" in done.stderr
    assert (tmp_path / "host/precious").exists()


def test_the_error_says_what_to_unmount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()
    monkeypatch.setattr(namespace, "mounts_below", lambda path: [f"{path}/dev"])
    with pytest.raises(KlabError) as caught:
        namespace.remove(tmp_path / "tree")
    assert caught.value.mend == f"umount {tmp_path}/tree/dev"
    assert (tmp_path / "tree").exists()
