#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""steer.py POLICY: puts each line of the policy on its CPUs, and says what became of it.

Prints one JSON object, {name: {"irq": number or null, "state": word}}. The words:

    set      the kernel has taken the CPUs
    managed  the kernel places this line itself, and lets nobody move it
    refused  the kernel does not take these CPUs
    missing  there is no line of that name

The exit status is 0 when all are set, else 1. Into irqbalance.env, in the current folder, goes the
line IRQBALANCE_ARGS="--banirq=N --banirq=M …": the lines that were set, so that irqbalance leaves them alone.
"""

import json
import sys
from pathlib import Path


def main(policy):
    # TODO
    print(json.dumps({}))
    return 1


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text())))
