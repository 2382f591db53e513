# SPDX-License-Identifier: GPL-3.0-or-later
"""A klab command that an error, a guide or a role tells people to type is one that klab takes."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from klab.cli import COMMANDS, main
from klab.desk import server

REPO = Path(__file__).resolve().parents[2]
PLACES = (
    "README.md",
    "docs/guide/*.md",
    "playbooks/**/*.yml",
    "roles/*/tasks/*.yml",
    "src/klab/**/*.py",
    "src/klab/data/*.yml",
)
# The verb, and what follows at once: a value by its place, or options by name.
VERBS = {name: main.get_command(click.Context(main), name) for name in COMMANDS}
TOLD = re.compile(
    rf"(?<![\w.])klab (?P<group>{'|'.join(COMMANDS)})\b"
    r"(?: (?P<verb>[a-z]+)\b)?"
    r"(?: (?P<value>\{[^}]*\}|lab1\b))?"
    r"(?P<rest>(?: (?:--[a-z-]+|\{[^}]*\}|…|[\w.]+))*)"
)


def on_a_machine(group: str, verb: str) -> list[click.Parameter]:
    """What the student's command of that name takes, where there is one."""
    found = server.calls.commands.get(group)
    if isinstance(found, click.Group):
        found = found.commands.get(verb)
    return found.params if found else []


def complaints(text: str) -> Iterator[str]:
    """What klab would not take of the commands that a text tells."""
    for found in TOLD.finditer(text):
        command = VERBS[found["group"]]
        if isinstance(command, click.Group):
            verb = command.get_command(click.Context(command), found["verb"] or "")
            if verb is None:
                # Prose goes on behind the name of a group; a value would be a command line.
                if found["verb"] and (found["value"] or found["rest"].startswith(" --")):
                    yield f"{found[0]}: no such verb"
                continue
            command = verb
        if found["value"] and not any(isinstance(p, click.Argument) for p in command.params):
            yield f"{found[0]}: it takes no value without an option's name"
        params = [*command.params, *on_a_machine(found["group"], found["verb"] or "")]
        known = {name for p in params for name in (*p.opts, *p.secondary_opts)}
        for option in re.findall(r"(?<= )--[a-z-]+", found["rest"]):
            if option not in known:
                yield f"{found[0]}: no option {option}"


@pytest.mark.parametrize("pattern", PLACES)
def test_told_commands_are_taken(pattern: str) -> None:
    paths = sorted(REPO.glob(pattern))
    assert paths
    assert not [
        f"{path.relative_to(REPO)}: {said}" for path in paths for said in complaints(path.read_text())
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('mend=f"klab vm start {name} --cold"', "klab vm start {name} --cold: it takes no value"),
        ("do: klab vm levitate lab1", "klab vm levitate lab1: no such verb"),
        ("klab kernel build --flavor lab", "klab kernel build --flavor lab: no option --flavor"),
    ],
)
def test_what_klab_does_not_take_is_found(text: str, complaint: str) -> None:
    assert [said.startswith(complaint) for said in complaints(text)] == [True]


def test_what_klab_takes_passes() -> None:
    text = 'f"klab vm start --name {name}, then klab vm ssh lab1"; klab doctor names it; klab vm, too'
    assert not list(complaints(text))
