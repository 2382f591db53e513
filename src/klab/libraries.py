# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the Python that runs klab has a library: for computers that get klab without pip."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from klab.errors import KlabError


def origin(name: str) -> Path:
    """The file that Python imports first. Raises KlabError when there is none."""
    found = importlib.util.find_spec(name)
    if found is None or not found.origin:
        raise KlabError(f"the library {name} is not here", step="pack klab", mend="make bootstrap")
    return Path(found.origin)


def files(name: str) -> Iterator[tuple[str, Path]]:
    """All that it is written in: the place below a folder from which Python imports, and the file here.

    Raises KlabError when the library is not there.
    """
    first = origin(name)
    if first.name != "__init__.py":
        yield first.name, first
        return
    for path in sorted(first.parent.rglob("*.py")):
        yield f"{name.replace('.', '/')}/{path.relative_to(first.parent)}", path
