#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""orders.py LINES CUSTOMERS: something for the service to do. Complete."""

import sys
from random import Random

r = Random()  # noqa: S311 - nothing secret
lines, customers = map(int, sys.argv[1:])
names = [f"customers.of.the.house.{''.join(r.choices('abcdefghij', k=12))}" for _ in range(customers)]
for _ in range(lines):
    name = r.choice(names)
    print(r.choice((name, name.upper(), f"{name[:3]}.{name[3:]}")), r.randrange(1000))
