#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""slowest.py CGROUP...: the slowest system call of each control group, by BCC.

CGROUP is a group's id. When it watches it says `ready`; on SIGINT it prints a line for each group, and ends:

    @answer[CGROUP, NAME]: MICROSECONDS

A call takes from its entry to its exit; the slowest is the one that takes longest on the average. What was
called less than five times has no average yet. In clock_nanosleep, futex and wait4 a thread waits for its own
time or its own kind: they are no answers.
"""

import signal
import sys


def main(groups):
    # TODO
    print("ready", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        for group in groups:
            print(f"@answer[{group}, nothing]: 0")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
