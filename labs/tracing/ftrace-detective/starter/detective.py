#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""detective.py MODULE COMMAND...: run COMMAND, and say why the operations of MODULE that it starts are slow.

Prints one JSON object:

    culprit     the function of the module in which an operation spends most of its time, itself
    callers     the functions that lead to it when it does, the first one first, without itself
    calls       how often an operation calls the culprit, on any way
    kind        what it does with its time: "computes", "sleeps" or "waits" (for a lock)
    holder      the name of the task that it waits for, when it waits; else null
    ms          how long an operation takes, typically, in milliseconds

COMMAND starts some operations that are all alike, perhaps by children of its own; others use the module
at the same time. Only tracefs is used, and in the end it is as it was found: tracers, filters, options,
events, instances.
"""

import json
import subprocess
import sys
from pathlib import Path

TRACING = Path("/sys/kernel/tracing")


def main(module, *command):
    del module
    # TODO: who listens meanwhile, and what does it tell?
    subprocess.run(command, check=True)
    found = dict.fromkeys(("culprit", "callers", "calls", "kind", "holder", "ms"))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
