# SPDX-License-Identifier: GPL-3.0-or-later
"""The course: what there is to learn, and the labs for it. One loader; all else asks it."""

from pathlib import Path

from klab.catalogue.load import labs_dir, load
from klab.catalogue.model import Course, Lab, LearningPath, Module, Needs, Step, Track
from klab.catalogue.select import select
from klab.errors import KlabError

__all__ = [
    "Course",
    "Lab",
    "LearningPath",
    "Module",
    "Needs",
    "Step",
    "Track",
    "check",
    "labs_dir",
    "load",
    "select",
]


def check(root: Path | None = None) -> list[KlabError]:
    """All that is wrong with the catalogue, in at most two seconds, without a machine."""
    from klab.catalogue import refusals  # noqa: PLC0415 - knows kernels, which listing labs need not

    return refusals.find(root)
