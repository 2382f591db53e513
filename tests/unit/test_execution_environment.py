# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX runs playbooks in has the versions that are pinned."""

import yaml

from klab.paths import repo_dir

DEPENDENCIES = yaml.safe_load((repo_dir() / "execution-environment.yml").read_text())["dependencies"]


def test_it_has_the_ansible_that_is_pinned() -> None:
    pins = (repo_dir() / DEPENDENCIES["python"]).read_text().splitlines()
    assert DEPENDENCIES["ansible_core"]["package_pip"] in pins
    assert any(line.startswith("ansible==") for line in pins), "the collections"


def test_its_python_is_one_that_the_pins_are_for() -> None:
    head = (repo_dir() / DEPENDENCIES["python"]).read_text().splitlines()[0]
    assert head.startswith("# Pinned for Python 3.11 to 3.13:")
    assert DEPENDENCIES["python_interpreter"]["package_system"] == "python3.13"
