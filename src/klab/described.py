# SPDX-License-Identifier: GPL-3.0-or-later
"""Data files of labs/, read and checked against their schema.

That a file of the checkout was allowed is noted in the cache, one note for each file: importing
the validator and asking it is most of what `klab list` would take.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from klab import digest as digests
from klab.errors import KlabError
from klab.paths import brought, cache_dir, repo_dir

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
def _schema(name: str) -> str:
    return (repo_dir() / f"labs/_schema/{name}.json").read_text()


@cache
def _rules(schema: str) -> Any:
    import jsonschema  # noqa: PLC0415 - a quarter of a second that a known file does without

    return jsonschema.Draft202012Validator(json.loads(_schema(schema)))


def _allowed(path: Path, text: str, schema: str, data: Any) -> bool:
    """Whether the schema allows the file, by a note of an earlier look where there is one."""
    if brought():  # as it was where that klab came from, and where the validator is
        return True
    said = digests.of_data([text, _schema(schema)])
    note = cache_dir() / "described" / digests.of_data(str(path.absolute()))
    with suppress(OSError):
        if note.read_text() == said:
            return True
    if not _rules(schema).is_valid(data):
        return False
    if path.is_relative_to(repo_dir()):
        with suppress(OSError):  # the next look is slower, and that is all
            note.parent.mkdir(parents=True, exist_ok=True)
            draft = note.with_suffix(f".{os.getpid()}")
            draft.write_text(said)
            draft.replace(note)
    return True


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
    if not _allowed(path, text, schema, data):
        raise _wrong(path, text, schema, data, step)
    return dict(data)


def _wrong(path: Path, text: str, schema: str, data: Any, step: str) -> KlabError:
    """The first thing that the schema does not allow."""
    wrong = next(_rules(schema).iter_errors(data))
    place = tuple(wrong.absolute_path)
    if wrong.validator == "additionalProperties":
        place += tuple(sorted(set(wrong.instance) - set(wrong.schema.get("properties", {})))[:1])
    where = "/".join(str(part) for part in place)
    return KlabError(
        f"{path}:{line_of(text, place)}: {where}: {wrong.message}",
        step=step,
        mend=f"see labs/_schema/{schema}.json",
    )
