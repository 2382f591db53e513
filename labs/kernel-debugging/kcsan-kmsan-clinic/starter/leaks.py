#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""leaks.py METER.H LENGTH FILLED: which bytes of the answer the meter has not written, as it was.

LENGTH is the length of its label, FILLED the number of requests that have ended. A line for each range, as
KMSAN reports it, first and last byte:

    4-7
    30-30
"""

import re
import sys
from pathlib import Path


def leaks(label, slots, length, filled):
    """The ranges, as pairs of first and last byte. label, slots: LABEL and SLOTS of meter.h."""
    # TODO
    return []


def main(header, length, filled):
    defined = dict(re.findall(r"^#define (LABEL|SLOTS) (\d+)", Path(header).read_text(), re.M))
    for first, last in leaks(int(defined["LABEL"]), int(defined["SLOTS"]), int(length), int(filled)):
        print(f"{first}-{last}")


if __name__ == "__main__":
    main(*sys.argv[1:])
