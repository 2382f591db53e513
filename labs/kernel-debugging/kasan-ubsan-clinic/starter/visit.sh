#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A visit, and all that the kernel says of it: klab guest --make -- san sh visit.sh heap 52
insmod zoo.ko || exit 1
dmesg -c >/dev/null
echo "$1 $2" >/proc/zoo
dmesg
echo "answer: $(cat /proc/zoo)"
rmmod zoo
