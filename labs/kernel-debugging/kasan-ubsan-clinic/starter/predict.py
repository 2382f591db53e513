#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""predict.py ZOO.H VISITS: what the kernel san reports of each visit to the zoo as it was, not mended.

VISITS is a file with a line for each, as /proc/zoo takes it. Every visit is the first one after an insmod.
For each it prints a line: the visit, and all that is reported of it, in its order, or `nothing`.

    global 31: UBSAN index 31 is out of range for type 'u8 [30]'; KASAN global-out-of-bounds in ...

UBSAN: the word, and the line below its headline, as the kernel prints it.
KASAN: the kind and the function as in its headline, what was accessed, and the shadow byte over the ^:

    KASAN slab-out-of-bounds in zoo_heap, read of 1, shadow 04
    KASAN double-free in zoo_twice, shadow fa
"""

import re
import sys
from pathlib import Path


def predict(size, name, n):
    """What is reported of a visit, as a list of such texts. size: what zoo.h defines, as size["CAGE"]."""
    # TODO
    return []


def main(header, visits):
    defined = re.findall(r"^#define (\w+) (\d+)", Path(header).read_text(), re.M)
    size = {key: int(value) for key, value in defined}
    for line in Path(visits).read_text().splitlines():
        name, n = line.split()
        print(f"{line}: {'; '.join(predict(size, name, int(n))) or 'nothing'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
