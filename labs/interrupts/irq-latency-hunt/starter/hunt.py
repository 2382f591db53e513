#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""hunt.py SECONDS: watches the kernel for so long, and names what stalls it, as one JSON object.

    {"kind": "timer", "name": "sweep_lane", "ms": 20}

kind is one of these, and name what the kernel calls it:

    irq       a hard interrupt handler; the name that /proc/interrupts shows
    timer     a timer's function
    tasklet   a tasklet's function
    work      a work item's function; time in which it sleeps stalls nobody
    irqs-off  a function that switches interrupts off

What takes LIMIT_MS or more of a CPU most times that it runs is a stall, and ms is how long it typically
takes. Nothing stalls: {"kind": null}. Any tool will do; this program runs as root.
"""

import json
import sys

LIMIT_MS = 10


def main(seconds):
    # TODO
    print(json.dumps({"kind": "nobody knows"}))


if __name__ == "__main__":
    main(float(sys.argv[1]))
