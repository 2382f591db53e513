#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
mount -t debugfs debug /sys/kernel/debug
insmod /klab/probe.ko && echo "klab: provoked"
leaks=/sys/kernel/debug/kmemleak
[ -e $leaks ] || exit 0
# An object counts as lost when it is five seconds old and two scans have missed it.
sleep 6
echo scan >$leaks
echo scan >$leaks
cat $leaks
