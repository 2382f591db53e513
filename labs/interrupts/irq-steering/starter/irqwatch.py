#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""irqwatch.py POLICY: looks every `interval_s`, until it is killed, and prints a JSON line for each event.

    {"event": "ready"}                                             first of all
    {"event": "rate", "irq": 31, "name": "eduq", "rate": 412}      more than `rate` interrupts per second
    {"event": "moved", "irq": 31, "name": "eduq", "from": "0-3"}   somebody moved it; it is put back

A burst is one event: `rate` is told again only after the line has been below for `quiet_s` seconds.
A line that cannot be put back now, because its CPUs are away, is put back as soon as they return.
Lines without `rate` are not watched for it; lines that the kernel manages are never told as moved.
"""

import json
import sys
import time
from pathlib import Path


def main(policy):
    print(json.dumps({"event": "ready"}), flush=True)
    while True:
        # TODO
        time.sleep(policy["interval_s"])


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
