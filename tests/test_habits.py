# SPDX-License-Identifier: GPL-3.0-or-later
"""The house rules hold in this checkout, and each rule can say no."""

import configparser
import os
import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

import habits

REPO = Path(__file__).resolve().parents[1]
RULES = [
    habits.without_licence,
    habits.too_long,
    habits.fixed_hosts,
    habits.bare_exceptions,
    habits.tracked_but_ignored,
    habits.undescribed_entries,
    habits.missing_imports,
]
ROLE_RULES = [habits.role_shape, habits.role_inputs]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_checkout_keeps(rule):
    assert not list(rule(REPO))


@pytest.mark.parametrize("rule", ROLE_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("role", habits.roles(REPO), ids=lambda role: role.name)
def test_role_keeps(rule, role):
    assert not list(rule(role))


def test_there_are_roles():
    assert habits.roles(REPO)


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def tree(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


SPDX = "# SPDX-License-Identifier: GPL-3.0-or-later\n"
MIRROR = "http://deb." + "debian.org/debian"
BARE = "import os  # " + "noqa: F401\n"


@pytest.mark.parametrize(
    ("rule", "name", "text", "complaint"),
    [
        (habits.without_licence, "a.py", "x = 1\n", "a.py: no SPDX line"),
        (habits.without_licence, "tool", "#!/bin/sh\nexit 0\n", "tool: no SPDX line"),
        (habits.too_long, "a.py", SPDX * 301, "a.py: 301 lines, more than 300"),
        (habits.too_long, "a.yml", SPDX * 151, "a.yml: 151 lines, more than 150"),
        (habits.fixed_hosts, "a.md", f"\nsee {MIRROR}\n", "a.md:2: deb." + "debian.org"),
        (habits.bare_exceptions, "a.py", BARE, "a.py:1: exception without a reason"),
        (
            habits.missing_imports,
            "labs/a.py",
            "from klab.lock import no\n",
            "labs/a.py:1: klab.lock has no no",
        ),
    ],
)
def test_rule_complains(tree, rule, name, text, complaint):
    write(tree, name, text)
    assert list(rule(tree)) == [complaint]


def test_exception_with_reason_passes(tree):
    write(tree, "a.py", BARE.replace("F401", "F401 - imported for its effect"))
    assert not list(habits.bare_exceptions(tree))


def test_ignored_but_tracked(tree):
    write(tree, ".gitignore", "*.log\n")
    write(tree, "a.log", "")
    subprocess.run(["git", "-C", tree, "add", "-f", "a.log"], check=True)
    assert list(habits.tracked_but_ignored(tree)) == ["a.log: tracked, but .gitignore names it"]


def role_with(tree: Path, defaults: str, options: str) -> Path:
    head = "argument_specs:\n  main:\n    short_description: Try.\n    options:\n"
    write(tree, "roles/try/tasks/main.yml", "[]\n")
    write(tree, "roles/try/defaults/main.yml", defaults)
    write(tree, "roles/try/meta/argument_specs.yml", head + options)
    return tree / "roles" / "try"


GOOD = "      try_it: {type: int, default: 1, description: How often.}\n"


@pytest.mark.parametrize(
    ("defaults", "options", "complaint"),
    [
        ("try_it: 2\n", GOOD, "try: try_it has two defaults, 1 and 2"),
        ("{}\n", GOOD, "try: try_it is optional and has no default in defaults/main.yml"),
        ("try_it: 1\ntry_more: 1\n", GOOD, "try: default try_more is in no argument spec"),
        ("try_it: 1\n", GOOD.replace("type: int, ", ""), "try: try_it has no type"),
        ("it: 1\n", GOOD.replace("try_it", "it"), "try: variable it does not bear the role's name"),
    ],
)
def test_role_rule_complains(tree, defaults, options, complaint):
    assert complaint in list(habits.role_inputs(role_with(tree, defaults, options)))


def test_good_role_passes(tree):
    assert not list(habits.role_inputs(role_with(tree, "try_it: 1\n", GOOD)))


def test_role_without_parts(tree):
    role = role_with(tree, "try_it: 1\n", GOOD)
    assert list(habits.role_shape(role)) == ["try: meta/main.yml is missing", "try: README.md is missing"]


def test_undescribed_entry(tree):
    role_with(tree, "try_it: 1\n", GOOD)
    task = "- hosts: all\n  tasks:\n    - include_role: {name: try, tasks_from: hidden}\n"
    write(tree, "playbooks/a.yml", task)
    assert list(habits.undescribed_entries(tree)) == [
        "playbooks/a.yml: try has no described entry point hidden"
    ]


def test_no_lint_rule_is_switched_off():
    config = yaml.safe_load((REPO / ".ansible-lint").read_text())
    assert config["profile"] == "production"
    assert config["skip_list"] == []
    assert config["warn_list"] == []


def test_pins_cover_what_pyproject_asks_for():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    lines = (REPO / "requirements.txt").read_text().splitlines()
    pins = {line.partition("==")[0].lower().replace("_", "-"): line for line in lines if "==" in line}
    for item in asked:
        name, _, version = item.partition("==")
        assert name.lower().replace("_", "-") in pins, f"{name} is not pinned"
        assert not version or pins[name.lower()].endswith(f"=={version}"), f"{name} is pinned otherwise"
    loose = [line for line in lines if line and not line.startswith("#") and "==" not in line]
    assert not loose


def test_every_make_verb_explains_itself():
    make = {**os.environ, "MAKEFLAGS": ""}
    shown = subprocess.run(["make", "help"], cwd=REPO, env=make, capture_output=True, text=True, check=True)
    verbs = re.findall(r"^\.PHONY: (.*)$", (REPO / "Makefile").read_text(), re.M)
    for verb in " ".join(verbs).split():
        assert f"  make {verb} " in shown.stdout


def test_molecule_configures_ansible_as_the_project_does():
    """Molecule never reads the project's ansible.cfg, so its base file repeats it."""
    project = configparser.ConfigParser(interpolation=None)
    project.read(REPO / "ansible.cfg")
    base = yaml.safe_load((REPO / ".config/molecule/config.yml").read_text())["ansible"]["cfg"]
    place = "${MOLECULE_PROJECT_DIRECTORY}/"
    for section in ("defaults", "ssh_connection"):
        repeated = {key: str(value).replace(place, "") for key, value in base[section].items()}
        wanted = {
            key: value.replace("true", "True").replace("false", "False")
            for key, value in project[section].items()
        }
        for chosen_by_molecule in ("inventory", "home"):
            wanted.pop(chosen_by_molecule, None)
        assert repeated == wanted


def test_ci_runs_what_the_readme_says():
    script = REPO / ".ci/run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^make test\b", script.read_text(), re.M)
    assert "`make test`" in (REPO / "README.md").read_text()
