#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""lines.py <TRACE: which cache lines travel from one processor to another, and whether for a reason, as JSON.

    [{"line": "0x4040", "transfers": 120, "sharing": "false"}, …]

A line of TRACE is one use of memory: `WHO r|w ADDRESS BYTES`. Each WHO has a processor with a cache of its
own, in which there is room for all. A line of memory is 64 bytes; a use that crosses into the next one is a
use of both. At the beginning nobody has any.

Who reads a line gets a copy of it, unless it has one, and those of others stay. Who writes takes it away from
all others, and is the only one who has it. It is a transfer when it is got or taken, while others have it;
the first one who uses a line gets it from memory, and that is none.

sharing: `true` when there is a byte in the line that one of them writes, and another one uses, in all of the
trace; else it travels only because different things lie side by side: `false`. Lines without transfers are
left out; the others come by their number of transfers, most of them first, and then by their address.
"""

import json
import sys


def lines(trace):
    # TODO
    return []


if __name__ == "__main__":
    print(json.dumps(lines(sys.stdin)))
