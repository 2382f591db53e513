# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gradings of a class found, kept with the evidence and the very files that were graded."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from klab import __version__, store
from klab import digest as digests
from klab.catalogue import Lab
from klab.classroom import reach
from klab.classroom.model import Class
from klab.errors import KlabError
from klab.kernel import artefact
from klab.lab.grade import Verdict
from klab.testing.observe import CANNOT_TELL


@dataclass(frozen=True)
class Result:
    """One student's work in one lab, graded.

    at: epoch seconds. work: digest of the files that were graded, which `files` names with their
    SHA-256. lab: the lab's digest, grader included; kernels: the digest of each flavour's kernel, ""
    when it is not in the cache. observations: each thing looked at, as the grader saw it.
    """

    word: str
    seed: int
    at: int
    wall_s: float
    work: str
    lab: str
    kernels: dict[str, str]
    klab: str
    files: dict[str, str] = field(default_factory=dict)
    observations: tuple[dict[str, Any], ...] = ()
    splats: tuple[str, ...] = ()

    def stands_for(self, key: Key, seed: int) -> bool:
        """Whether grading again would only say the same."""
        same = (self.work, self.lab, self.kernels) == (key.work, key.lab, key.kernels)
        return same and self.seed == seed and self.word != CANNOT_TELL


@dataclass(frozen=True)
class Key:
    """What a grading depends on, beside its seed: digests of work, lab and kernels."""

    work: str
    lab: str
    kernels: dict[str, str]


def kernels(labs: Sequence[Lab]) -> dict[str, str]:
    """The digest of each flavour's kernel that these labs are graded on; "" when it is not in the cache."""
    names = sorted({name for lab in labs for name in lab.flavours})
    found: dict[str, store.Entry | None] = {name: artefact.find(name) for name in names}
    return {name: entry.digest if entry else "" for name, entry in found.items()}


def work_dir(class_: Class, seat: str, lab: str) -> Path:
    """Where the files lie that were graded last, or are to be."""
    return class_.state / "work" / seat / lab


def key(work: Path, lab: Lab, known: dict[str, str]) -> Key:
    """What the grading of these files depends on. known: digests of kernels by flavour."""
    return Key(
        digests.of_tree(work), digests.of_tree(lab.folder), {name: known[name] for name in lab.flavours}
    )


def files(work: Path) -> dict[str, str]:
    """The SHA-256 of each file."""
    return {
        str(path.relative_to(work)): digests.of_file(path)
        for path in sorted(work.rglob("*"))
        if path.is_file()
    }


def save(class_: Class, seat: str, lab: Lab, depends: Key, verdict: Verdict) -> Result:
    """Keep a verdict with its evidence."""
    made = Result(
        word=verdict.word,
        seed=verdict.seed,
        at=int(time.time()),
        wall_s=verdict.wall_s,
        work=depends.work,
        lab=depends.lab,
        kernels=depends.kernels,
        klab=__version__,
        files=files(work_dir(class_, seat, lab.id)),
        observations=tuple(asdict(seen) for seen in verdict.observations),
        splats=verdict.splats,
    )
    path = _file(class_, seat, lab.id)
    reach.private(path.parent)
    reach.replace(path, json.dumps(asdict(made), indent=1, sort_keys=True) + "\n")
    return made


def _file(class_: Class, seat: str, lab: str) -> Path:
    return class_.state / "grades" / seat / f"{lab}.json"


def load(class_: Class, seat: str, lab: str) -> Result | None:
    """The last grading, or None. Raises KlabError when it cannot be read."""
    path = _file(class_, seat, lab)
    try:
        body: dict[str, Any] = json.loads(path.read_text())
        lists = {name: tuple(body[name]) for name in ("observations", "splats")}
        return Result(**{**body, **lists})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise KlabError(
            f"the grading of {lab} on {seat} cannot be read: {error}",
            step="class: gradings",
            machine=seat,
            log=path,
            mend=f"move {path} away; the next `klab class grade` makes it anew",
        ) from None


def all_of(class_: Class) -> dict[str, dict[str, Result]]:
    """All gradings by seat and lab."""
    found: dict[str, dict[str, Result]] = {}
    top = class_.state / "grades"
    for path in sorted(top.glob("*/*/*.json")):
        seat, module, name = path.relative_to(top).with_suffix("").parts
        if result := load(class_, seat, f"{module}/{name}"):
            found.setdefault(seat, {})[f"{module}/{name}"] = result
    return found
