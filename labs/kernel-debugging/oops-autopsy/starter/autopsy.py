#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What killed the kernel: python3 autopsy.py LOG wreck.ko

LOG holds the kernel's words of one crash, from the console (`[   12.345678] text`) or from its log
(`<4>[   12.345678] text`). Warnings may come before the crash, and other reports follow from it. wreck.ko is
the module as it was loaded, with debug information. Prints one JSON object:

class     null: a pointer that is NULL, or NULL and an offset; freed: a pointer that was read from freed
          memory; text: a pointer with text written over it; bug; stack: an overflow; hung; soft; hard
file      the name of the source file, without folders
line      the line that the CPU was at, or to which it will come back, in the module's own source. What the
          compiler has taken into it from the kernel's headers does not count; what it has taken from the
          module's own header does. stack: where the function calls itself
function  the function in whose source the line stands
register  null, freed, text: the one that held the bad pointer, such as "rax"; else null
trace     the last five functions of the module that the task entered, the last one last

A lockup's task is the one that keeps the CPU, a hung one's the one that waits. Tools: addr2line, objdump, nm.
"""

import json
import sys
from pathlib import Path


def main(log, module):
    lines = Path(log).read_text(errors="replace").splitlines()
    # TODO
    said = {"class": None, "file": None, "line": None, "function": None, "register": None, "trace": []}
    print(json.dumps(said), file=sys.stdout if lines and module else sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
