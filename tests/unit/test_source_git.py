# SPDX-License-Identifier: GPL-3.0-or-later
"""Commits of git repositories as kernel sources."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.sources import EPOCH, MAKEFILE, change, refused
from klab.kernel import source
from klab.kernel.flavour import Source


def git(repo: Path, *words: str) -> str:
    who = ["-c", "user.name=klab", "-c", "user.email=klab@localhost"]
    argv = ["git", "-C", repo, *who, *words]
    env = {"GIT_COMMITTER_DATE": f"{EPOCH} +0000", "PATH": "/usr/bin:/bin"}
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=env).stdout.strip()


@pytest.fixture
def repo(kernels: Path) -> Path:
    """A repository with two commits."""
    path = kernels / "linux.git"
    path.mkdir()
    git(path, "init", "-q")
    for text in ("int ext4;\n", "int newer;\n"):
        (path / "Makefile").write_text(MAKEFILE)
        (path / "ext4.c").write_text(text)
        git(path, "add", ".")
        git(path, "commit", "-q", "-m", text)
    return path


def commit(url: str, name: str, *patches: Path) -> Source:
    return Source("fake", "git", "9.0", url=url, commit=name, patches=patches)


@pytest.mark.parametrize(("name", "text"), [("HEAD", "int newer;\n"), ("HEAD^", "int ext4;\n")])
def test_a_commit_is_fetched_without_its_history(repo: Path, kernels: Path, name: str, text: str) -> None:
    wanted = commit("linux.git", git(repo, "rev-parse", name))
    entry = source.ensure(wanted)
    assert sorted(path.name for path in (entry.path / "tree").iterdir()) == ["Makefile", "ext4.c"]
    assert (entry.path / "tree/ext4.c").read_text() == text
    assert (entry.path / "tree/Makefile").stat().st_mtime == EPOCH
    assert entry.manifest["source"] == {"id": "linux.git 9.0", "commit": wanted.commit}
    shutil.rmtree(repo)
    assert source.ensure(wanted).path == entry.path


def test_a_commit_can_be_patched(repo: Path, kernels: Path) -> None:
    change(kernels, "a.patch", "# line 2", "# two")
    entry = source.ensure(
        commit(f"file://{repo}", git(repo, "rev-parse", "HEAD"), kernels / "patches/a.patch")
    )
    assert "# two\n" in (entry.path / "tree/Makefile").read_text()


def test_a_commit_that_is_not_there_is_named(repo: Path) -> None:
    absent = "1234" * 10
    refused(commit("linux.git", absent), f"linux.git holds no commit {absent}", step="fetch", mend="push it")


def test_a_rewritten_history_no_longer_holds_the_commit(repo: Path) -> None:
    gone = git(repo, "rev-parse", "HEAD")
    git(repo, "commit", "-q", "--amend", "-m", "another")
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "gc", "-q", "--prune=now")
    refused(commit("linux.git", gone), f"holds no commit {gone}")


@pytest.mark.parametrize("url", ["missing.git", "http://127.0.0.1:1/linux.git"])
def test_an_unreachable_repository_is_named(kernels: Path, url: str) -> None:
    refused(commit(url, "1234" * 10), f"cannot fetch from {url}", step="fetch", mend="network")
