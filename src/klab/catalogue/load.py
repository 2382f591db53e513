# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the course from labs/: course.yml, each module.yml and lab.yml, against their schemas."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import yaml

from klab.catalogue.model import Course, Lab, LearningPath, Module, Needs, Step, Track
from klab.errors import KlabError
from klab.paths import repo_dir

STEP = "catalogue: read"
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times quicker where libyaml is there


def labs_dir() -> Path:
    """Where the course lies."""
    return Path(os.environ.get("KLAB_LABS") or repo_dir() / "labs")


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
    import jsonschema  # noqa: PLC0415 - slow to load, and `klab --help` needs no catalogue

    return jsonschema.Draft202012Validator(
        json.loads((repo_dir() / f"labs/_schema/{schema}.json").read_text())
    )


def read(path: Path, schema: str) -> dict[str, Any]:
    """A YAML file that labs/_schema/<schema>.json allows. Raises KlabError with file and line."""
    try:
        text = path.read_text()
        data = yaml.load(text, Loader=Loader)  # noqa: S506 - both are safe loaders
    except FileNotFoundError:
        raise KlabError(f"there is no {path}", step=STEP, mend="restore it from git") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{mark.line + 1}: " if mark else " "
        said = getattr(error, "problem", None) or str(error)
        raise KlabError(f"{path}:{line}{said}", step=STEP, mend="mend the YAML") from None
    for wrong in _rules(schema).iter_errors(data):
        place = tuple(wrong.absolute_path)
        if wrong.validator == "additionalProperties":
            place += tuple(sorted(set(wrong.instance) - set(wrong.schema.get("properties", {})))[:1])
        where = "/".join(str(part) for part in place)
        raise KlabError(
            f"{path}:{line_of(text, place)}: {where}: {wrong.message}",
            step=STEP,
            mend=f"see labs/_schema/{schema}.json",
        )
    return dict(data)


def lab(folder: Path) -> Lab:
    """The lab in a folder. Raises KlabError."""
    body = read(folder / "lab.yml", "lab")
    needs: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in body.pop("needs", {}).items()
    }
    lists = {key: tuple(value) for key, value in body.items() if isinstance(value, list)}
    return Lab(
        **{
            **body,
            **lists,
            "needs": Needs(**needs),
            "id": f"{folder.parent.name}/{folder.name}",
            "folder": folder,
        }
    )


def _raise(error: KlabError) -> NoReturn:
    raise error


def load(root: Path | None = None, tell: Callable[[KlabError], object] = _raise) -> Course:
    """The whole course. Raises KlabError for the first thing that is wrong.

    tell: takes what is wrong with a module or lab instead; the course then lacks it.
    """
    root = root or labs_dir()
    body = read(root / "course.yml", "course")
    tracks, modules, labs = {}, {}, {}
    for track in body["tracks"]:
        known = []
        for name, names in track["modules"].items():
            found = {}
            for one in names or ():
                try:
                    found[f"{name}/{one}"] = lab(root / name / one)
                except KlabError as error:
                    tell(error)
            try:
                said = read(root / name / "module.yml", "module")
            except KlabError as error:
                tell(error)
                continue
            labs.update(found)
            modules[name] = Module(
                id=name, folder=root / name, track=str(track["id"]), labs=tuple(found), **said
            )
            known.append(name)
        tracks[str(track["id"])] = Track(str(track["id"]), track["title"], tuple(known))
    paths = {
        one["id"]: LearningPath(
            one["id"],
            one["title"],
            one["why"],
            tuple(Step(s["title"], tuple(s["modules"])) for s in one["steps"]),
        )
        for one in body.get("paths", [])
    }
    return Course(tracks, modules, labs, paths)
