#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# record.sh FILE PROGRAM [ARGUMENT...]: run the program, and leave in FILE what perf has sampled of it: 200
# to 1000 times in each second of processor time, of all its threads, where it was and by which way it had
# come there, in user space and in the kernel. There is no PMU: the clock has to do.
file=$1
shift
# TODO
perf record -o "$file" "$@"
