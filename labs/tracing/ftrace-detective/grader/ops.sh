#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# ops.sh COUNT: that many operations, each one of a process of its own.
for ((n = 0; n < $1; n++)); do
  (echo a >/proc/mill)
done
