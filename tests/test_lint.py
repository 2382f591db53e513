# SPDX-License-Identifier: GPL-3.0-or-later
"""The linters, run over everything that is tracked or about to be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import habits

REPO = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PLAYBOOKS = sorted((REPO / "playbooks").glob("*.yml"))
ENV = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"),
    "LC_ALL": "C.UTF-8",
    "NO_COLOR": "1",
}


def run(*command: str | Path) -> None:
    """Run a linter; what it says is the failure's text."""
    if not shutil.which(command[0], path=ENV["PATH"]):
        pytest.fail(f"{command[0]} is not installed", pytrace=False)
    done = subprocess.run(
        command,
        cwd=REPO,
        env=ENV,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(done.stdout, pytrace=False)


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["yamllint", "--strict", "."],
        ["ansible-lint", "--offline"],
    ],
    ids=" ".join,
)
def test_linter(command):
    run(*command)


def test_shell():
    scripts = [path for path in habits.files(REPO) if habits.is_shell(path)]
    assert scripts
    run("shellcheck", *scripts)


def test_there_are_playbooks():
    assert PLAYBOOKS


@pytest.mark.parametrize("option", ["--syntax-check", "--list-tags"])
@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_playbook(playbook, option):
    run("ansible-playbook", option, playbook)


DOCUMENTED = {
    "module": [path.stem for path in (REPO / "plugins/modules").glob("*.py")],
    "inventory": [path.stem for path in (REPO / "plugins/inventory").glob("*.py")],
    "callback": [path.stem for path in (REPO / "plugins/callback").glob("*.py")],
    "role": [role.name for role in habits.roles(REPO)],
}


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_ansible_doc_knows(kind):
    assert DOCUMENTED[kind]
    run("ansible-doc", "--type", kind, *DOCUMENTED[kind])
