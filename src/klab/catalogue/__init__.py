# SPDX-License-Identifier: GPL-3.0-or-later
"""The course: what there is to learn, and the labs for it. One loader; all else asks it."""

from klab.catalogue.load import labs_dir, load
from klab.catalogue.model import Course, Lab, LearningPath, Module, Needs, Step, Track
from klab.catalogue.select import select

__all__ = ["Course", "Lab", "LearningPath", "Module", "Needs", "Step", "Track", "labs_dir", "load", "select"]
