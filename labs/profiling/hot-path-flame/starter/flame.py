#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""flame.py FOLDED >SVG, or flame.py BEFORE AFTER >SVG: draws stacks as a flame graph.

Each frame is a box, and each box is this, with any other attributes and elements you like:

    <g><title>NAME (COUNT samples, 12.3%)</title><rect x="…" y="…" width="…" height="…" fill="rgb(…)"/></g>

The lowest box, `all`, stands for all samples and is as wide as the picture. What was called lies in the row
above its caller, side by side, sorted by name, beginning at the caller's left edge, each as wide as its part
of the samples. A function that the same caller has called many times is one box.

With two files AFTER is drawn, and the title says by how much the box's part of all samples has changed:

    NAME (COUNT samples, 12.3%, +4.5%)

Its part, as the two runs have not taken the same number of samples. Then fill has more red than blue where a
part has grown (by 0.1% at least), more blue than red where it has shrunk, and as much of both where neither.
"""

import sys


def main(*files):
    # TODO
    print('<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="100"></svg>')


if __name__ == "__main__":
    main(*sys.argv[1:])
