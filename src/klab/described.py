# SPDX-License-Identifier: GPL-3.0-or-later
"""Data files of labs/, read and checked against their schema."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from klab.errors import KlabError
from klab.paths import repo_dir

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times quicker where libyaml is there


def line_of(text: str, place: tuple[Any, ...]) -> int:
    """The line of a YAML text where the value at `place` (keys and indexes) begins, from 1."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == str(part)]
            node = found[0] if found else node
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
    return node.start_mark.line + 1 if node else 1


@cache
def _rules(schema: str) -> Any:
    import jsonschema  # noqa: PLC0415 - a quarter of the time of a command that reads no such file

    return jsonschema.Draft202012Validator(
        json.loads((repo_dir() / f"labs/_schema/{schema}.json").read_text())
    )


def read(path: Path, schema: str, step: str) -> dict[str, Any]:
    """A YAML file as data that labs/_schema/`schema`.json allows.

    Raises KlabError that names file, line and place, and what is wrong there.
    """
    try:
        text = path.read_text()
        data = yaml.load(text, Loader=Loader)  # noqa: S506 - both are safe loaders
    except FileNotFoundError:
        raise KlabError(f"there is no {path}", step=step, mend="restore it from git") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{mark.line + 1}: " if mark else " "
        said = getattr(error, "problem", None) or str(error)
        raise KlabError(f"{path}:{line}{said}", step=step, mend="mend the YAML") from None
    for wrong in _rules(schema).iter_errors(data):
        place = tuple(wrong.absolute_path)
        if wrong.validator == "additionalProperties":
            place += tuple(sorted(set(wrong.instance) - set(wrong.schema.get("properties", {})))[:1])
        where = "/".join(str(part) for part in place)
        raise KlabError(
            f"{path}:{line_of(text, place)}: {where}: {wrong.message}",
            step=step,
            mend=f"see labs/_schema/{schema}.json",
        )
    return dict(data)
