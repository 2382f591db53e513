#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""offcpu.py PID: where the time of process PID's requests goes, as one JSON object.

    {"requests": 12, "wall_us": 480000, "cpu_us": 80000, "queue_us": 110000,
     "waits_us": {"sleep": 120000, "pipe": 70000, "lock": 60000, "disk": 40000, "other": 0},
     "latency": {"16384": 1, "32768": 11}}

A request is under way in a thread of PID from its call of request_begin() to that of request_end(), two
functions of PID's program; no other time counts, and nobody else's. All are sums over the requests, in
microseconds:

    wall_us   how long they took
    waits_us  while the thread slept, until it was woken up, by what it slept in: a `sleep` of some time, a
              `pipe` in which nothing was, a `lock` in user space that another one held, a `disk`, or `other`
    queue_us  while it could have run, and did not: after it was woken up, or put off the processor
    cpu_us    the rest

latency: how many requests took so many microseconds, or more, but less than twice as many: powers of two.

When it watches, and not before, it sends SIGUSR1 to PID, which then begins. It prints when PID has ended. It
runs as root; any tool will do.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main(pid):
    # TODO
    os.kill(pid, signal.SIGUSR1)
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.1)
    print(json.dumps({"requests": 0}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
