# SPDX-License-Identifier: GPL-3.0-or-later
"""What a student's programs leave in a machine's kernel: pinned, attached, traced. A reset takes it away."""

from __future__ import annotations

from klab import catalogue, described
from klab.desk import place
from klab.paths import data_file

STEP = "lab: sweep"
# $@: what to take away. The script comes along, so that it is this klab's.
SCRIPT = 'exec sudo -n bash -s -- "$@"'


def leaves(lab: catalogue.Lab) -> tuple[str, ...]:
    """What students of the lab's module may leave in a kernel, as its module.yml says."""
    said = described.read(lab.folder.parent / "module.yml", "module", STEP)
    return tuple(said.get("leaves", ()))


def sweep(machine: place.Whose, lab: catalogue.Lab) -> None:
    """Take it away, if the module says that there may be something.

    Raises KlabError when the machine does not answer.
    """
    if kinds := leaves(lab):
        place.run(machine, SCRIPT, *kinds, send=data_file("sweep.sh").read_bytes())
