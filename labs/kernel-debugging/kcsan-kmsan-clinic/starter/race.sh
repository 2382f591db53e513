#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What KCSAN says of two CPUs that use the meter: klab guest --make -- kcsan sh race.sh [run|peek] [MS]
insmod meter.ko && insmod load.ko || exit 1
dmesg -n 1
# It looks at one access in some hundreds, for a part of a millisecond: Documentation/dev-tools/kcsan.rst.
cd /sys/module/kcsan/parameters && echo 1000 >skip_watch && echo 1000 >udelay_task
echo "${2:-5000}" >/sys/module/load/parameters/"${1:-run}"
echo 8000 >skip_watch && echo 10 >udelay_task
dmesg | grep -A 40 "BUG: KCSAN"
cat /sys/module/load/parameters/result
