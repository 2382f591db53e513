# SPDX-License-Identifier: GPL-3.0-or-later
"""What labs claim of their kernel, against the flavour: symbols and command-line words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache

from klab.catalogue.model import Course, Lab
from klab.described import line_of
from klab.errors import KlabError
from klab.kernel import artefact, dotconfig
from klab.kernel import flavour as flavours

STEP = "catalogue: check"


@cache
def _config(name: str) -> dict[str, str] | None:
    """The resolved config of a flavour's kernel, or None when it is not in the cache."""
    entry = artefact.find(name)
    return dotconfig.read_config(entry.file("config").read_text()) if entry else None


@cache
def _asked(name: str) -> dict[str, str]:
    """What the fragments of a flavour ask for; nothing for one that Debian built."""
    flavour = flavours.load(name)
    if not isinstance(flavour, flavours.Built):
        return {}
    return {request.name: request.value for request in flavour.requests().values()}


def forget() -> None:
    """Read flavours anew: for tests, which change them."""
    _config.cache_clear()
    _asked.cache_clear()


def unproved(course: Course) -> dict[str, list[str]]:
    """Flavours whose config is not in the cache: {flavour: symbols that no fragment names}.

    Only a resolved config tells of these; labs that claim them are checked again when they run.
    """
    left: dict[str, list[str]] = {}
    for lab in course.labs.values():
        if lab.kernel in flavours.names() and _config(lab.kernel) is None:
            known = _asked(lab.kernel)
            left.setdefault(lab.kernel, [])
            left[lab.kernel] += [name for name in lab.needs.symbols if name not in known]
    return {name: sorted(set(symbols)) for name, symbols in left.items() if symbols}


def check(lab: Lab) -> Iterator[KlabError]:
    """What the lab claims and its flavour does not have."""
    path = lab.folder / "lab.yml"
    text = path.read_text()

    def wrong(place: tuple[str | int, ...], what: str, mend: str) -> KlabError:
        return KlabError(f"{path}:{line_of(text, place)}: {what}", step=STEP, mend=mend)

    known = flavours.names()
    named: list[tuple[tuple[str | int, ...], str]] = [(("kernel",), lab.kernel)]
    named += [(("sanitize", number), name) for number, name in enumerate(lab.sanitize)]
    for place, name in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            yield wrong(place, f"there is no flavour '{name}'", f"{hint}flavours: {', '.join(known)}")
    if lab.kernel not in known:
        return
    config = _config(lab.kernel)
    for number, name in enumerate(lab.needs.symbols):
        value = (config or _asked(lab.kernel)).get(name, "n" if config else "")
        if value == "n":
            what = f"needs CONFIG_{name}, which flavour {lab.kernel} does not have"
            mend = "choose another flavour, or ask for it in a fragment (which makes a new kernel)"
            yield wrong(("needs", "symbols", number), what, mend)
    # A guest gets the lab's words when it starts; the student's machine has its flavour's.
    words = flavours.load(lab.kernel).cmdline if lab.where == "machine" else lab.needs.cmdline
    for number, word in enumerate(lab.needs.cmdline):
        if word not in words:
            what = f"needs '{word}' on the command line, which flavour {lab.kernel} does not have"
            mend = "run the lab in a guest, which gets it, or choose another flavour"
            yield wrong(("needs", "cmdline", number), what, mend)
