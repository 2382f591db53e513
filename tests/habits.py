# SPDX-License-Identifier: GPL-3.0-or-later
"""The house rules, as functions from a checkout to a list of complaints."""

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

SOURCES = {".py", ".yml", ".yaml", ".sh", ".j2", ".S", ".c", ".h", ".config", ".toml", ".cfg", ".ini"}
NAMED_SOURCES = {"Makefile", ".ansible-lint", ".yamllint"}
LONGEST = {".py": 300, ".yml": 150, ".yaml": 150}
# A longer file, with the reason and the date on which it was allowed.
LONGER: dict[str, str] = {}
# Archives, registries and galaxies: klab takes what the machine's own apt and pip are set up to use.
HOSTS = re.compile(
    r"(deb|security|ftp|snapshot|archive)[\w.-]*\.debian\.org|(archive|security|ports)\.ubuntu\.com"
    r"|\bpypi\.org|pythonhosted\.org|npmjs\.(org|com)|galaxy\.ansible\.com|\b(docker|ghcr|quay)\.io\b"
)
# Linters themselves report an exception that is no longer needed; what they cannot ask for is the reason.
EXCEPTION = re.compile(r"#\s*(noqa|yamllint disable|shellcheck disable|pragma: no cover)(?P<rest>.*)")
REASON = re.compile(r"[A-Z]+\d+\W+\w+\W+\w+|\b[a-z-]+ # \w+\W+\w+")


def files(repo: Path) -> list[Path]:
    """What is tracked, or would be with `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repo,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [repo / name for name in sorted(set(listed)) if name and (repo / name).is_file()]


def text_of(path: Path) -> str:
    """The file's text; empty for a binary one."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def is_shell(path: Path) -> bool:
    """Whether a file is a shell script, by its name or its first line."""
    first = text_of(path).partition("\n")[0]
    return path.suffix == ".sh" or bool(re.match(r"#!.*\b(ba)?sh\b", first))


def without_licence(repo: Path) -> Iterator[str]:
    """Every source file says its licence in its first lines."""
    for path in files(repo):
        text = text_of(path)
        source = path.suffix in SOURCES or path.name in NAMED_SOURCES or text.startswith("#!")
        if text and source and "SPDX-License-Identifier: " not in "\n".join(text.splitlines()[:4]):
            yield f"{path.relative_to(repo)}: no SPDX line"


def too_long(repo: Path) -> Iterator[str]:
    """A file past these lengths asks to be split."""
    for path in files(repo):
        limit = LONGEST.get(path.suffix)
        lines = len(text_of(path).splitlines())
        name = str(path.relative_to(repo))
        if limit and lines > limit and name not in LONGER:
            yield f"{name}: {lines} lines, more than {limit}"


def fixed_hosts(repo: Path) -> Iterator[str]:
    """No archive or registry is a fixed value in the checkout."""
    for path in files(repo):
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if found := HOSTS.search(line):
                yield f"{path.relative_to(repo)}:{number}: {found[0]}"


def bare_exceptions(repo: Path) -> Iterator[str]:
    """A lint exception in a line says why; git says since when."""
    for path in files(repo):
        if path.suffix in {".py", ".yml", ".toml", ".sh"} or is_shell(path):
            for number, line in enumerate(text_of(path).splitlines(), 1):
                found = EXCEPTION.search(line)
                if found and not REASON.search(found["rest"]):
                    yield f"{path.relative_to(repo)}:{number}: exception without a reason"


def tracked_but_ignored(repo: Path) -> Iterator[str]:
    """Nothing is tracked that .gitignore names."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--ignored", "--exclude-standard"],
        cwd=repo,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    yield from (f"{name}: tracked, but .gitignore names it" for name in listed if name)


def roles(repo: Path) -> list[Path]:
    """The infrastructure roles."""
    return sorted(path.parent for path in (repo / "roles").glob("*/tasks"))


def load(path: Path) -> Any:
    """A YAML file's content, an empty mapping when there is none."""
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def role_shape(role: Path) -> Iterator[str]:
    """A role has its parts, and each described entry point a task file."""
    for part in ("meta/main.yml", "meta/argument_specs.yml", "tasks/main.yml", "README.md"):
        if not (role / part).exists():
            yield f"{role.name}: {part} is missing"
    entries = specs(role)
    if "main" not in entries:
        yield f"{role.name}: entry point main is not described"
    for entry in entries:
        if not (role / "tasks" / f"{entry}.yml").exists():
            yield f"{role.name}: entry point {entry} has no tasks/{entry}.yml"


def specs(role: Path) -> dict[str, Any]:
    """The role's entry points as its argument specs tell them."""
    return load(role / "meta" / "argument_specs.yml").get("argument_specs", {})


def role_inputs(role: Path) -> Iterator[str]:
    """Inputs are described once and agree with the defaults; all bear the role's name."""
    defaults = load(role / "defaults" / "main.yml")
    described: dict[str, dict[str, Any]] = {}
    for entry, spec in specs(role).items():
        if not spec.get("short_description"):
            yield f"{role.name}: entry point {entry} has no short_description"
        for name, option in (spec.get("options") or {}).items():
            described[name] = option
            if not option.get("description"):
                yield f"{role.name}: {name} has no description"
            if "type" not in option:
                yield f"{role.name}: {name} has no type"
            if option.get("required"):
                continue
            if name not in defaults:
                yield f"{role.name}: {name} is optional and has no default in defaults/main.yml"
            elif "default" in option and option["default"] != defaults[name]:
                yield f"{role.name}: {name} has two defaults, {option['default']!r} and {defaults[name]!r}"
    for name in defaults.keys() - described.keys():
        yield f"{role.name}: default {name} is in no argument spec"
    for name in [*defaults, *described, *load(role / "vars" / "main.yml")]:
        if not re.match(rf"(__)?{re.escape(role.name)}_", name):
            yield f"{role.name}: variable {name} does not bear the role's name"


def undescribed_entries(repo: Path) -> Iterator[str]:
    """Whoever uses `tasks_from` uses an entry point that is described."""

    def uses(node: Any) -> Iterator[tuple[str, str]]:
        if isinstance(node, dict):
            if isinstance(node.get("tasks_from"), str) and isinstance(node.get("name"), str):
                yield node["name"], node["tasks_from"].removesuffix(".yml")
            for value in node.values():
                yield from uses(value)
        elif isinstance(node, list):
            for item in node:
                yield from uses(item)

    known = {role.name: specs(role) for role in roles(repo)}
    for folder in ("playbooks", "roles", "molecule"):
        for path in sorted((repo / folder).rglob("*.yml")):
            for document in yaml.safe_load_all(path.read_text()):
                for role, entry in uses(document):
                    if role in known and entry not in known[role]:
                        yield f"{path.relative_to(repo)}: {role} has no described entry point {entry}"


def _there(module: str, name: str) -> bool:
    """Whether a module of klab has that name, or is a package with a module of it."""
    try:
        return hasattr(importlib.import_module(module), name) or bool(find_spec(f"{module}.{name}"))
    except ModuleNotFoundError:
        return False


def missing_imports(repo: Path) -> Iterator[str]:
    """What a grader imports of klab is there: only its contract, minutes long, would tell."""
    for path in files(repo):
        if path.suffix == ".py" and "labs" in path.parts:
            for node in ast.walk(ast.parse(text_of(path))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "klab":
                    for name in node.names:
                        if not _there(str(node.module), name.name):
                            yield f"{path.relative_to(repo)}:{node.lineno}: {node.module} has no {name.name}"
