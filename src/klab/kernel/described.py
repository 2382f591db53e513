# SPDX-License-Identifier: GPL-3.0-or-later
"""Data files of labs/_kernels, read and checked against their schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from klab.errors import KlabError
from klab.paths import repo_dir


def read(path: Path, schema: str, step: str) -> dict[str, Any]:
    """A YAML file as data that labs/_schema/`schema`.json allows.

    Raises KlabError that names the place in the file and what is wrong with it.
    """
    import jsonschema  # noqa: PLC0415 - a quarter of the time of a command that reads no such file

    rules = json.loads((repo_dir() / f"labs/_schema/{schema}.json").read_text())
    try:
        data = yaml.safe_load(path.read_text())
        jsonschema.validate(data, rules)
    except FileNotFoundError:
        raise KlabError(f"there is no {path}", step=step, mend="restore it from git") from None
    except (yaml.YAMLError, jsonschema.ValidationError) as error:
        where = "/".join(str(part) for part in getattr(error, "absolute_path", ()))
        said = getattr(error, "message", str(error))
        raise KlabError(
            f"{path}: {where}: {said}", step=step, mend=f"see labs/_schema/{schema}.json"
        ) from None
    return dict(data)
