#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""hunt.py PID SECONDS: watches for so long what process PID allocates, and names what leaks, as JSON.

    {"path": ["take", "reply", "on_write", "main"], "size": 120}

path: the functions of PID's program that have led to the blocks that are lost, the one first that has called
the allocator. size: of such a block, in bytes. What a program keeps is no leak: a cache that is full, a batch
that is given back later, one large table. A leak is what gets more and more. Nothing leaks: {"path": null}.

The process has been running for a while, goes on, and must not be stopped. It allocates by malloc, calloc
and realloc of the C library, in any of its threads, and keeps frame pointers. This runs as root; any tool
will do.
"""

import json
import sys


def main(pid, seconds):
    # TODO
    print(json.dumps({"path": None}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
