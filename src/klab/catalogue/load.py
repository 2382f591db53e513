# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the course from labs/: course.yml, each module.yml and lab.yml, against their schemas."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from klab import described
from klab.catalogue.model import Course, Lab, LearningPath, Module, Needs, Step, Track
from klab.errors import KlabError
from klab.paths import repo_dir

STEP = "catalogue: read"


def labs_dir() -> Path:
    """Where the course lies."""
    return Path(os.environ.get("KLAB_LABS") or repo_dir() / "labs")


def lab(folder: Path) -> Lab:
    """The lab in a folder. Raises KlabError."""
    body = described.read(folder / "lab.yml", "lab", STEP)
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
    body = described.read(root / "course.yml", "course", STEP)
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
                said = described.read(root / name / "module.yml", "module", STEP)
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
