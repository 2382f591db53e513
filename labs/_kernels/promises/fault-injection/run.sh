#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
mount -t debugfs debug /sys/kernel/debug
fails=/sys/kernel/debug/failslab
if [ -d $fails ]; then
    echo Y >$fails/task-filter
    echo N >$fails/ignore-gfp-wait
    echo 100 >$fails/probability
    echo 1 >$fails/times
    echo 2 >$fails/verbose
    sh -c 'echo 1 >/proc/self/make-it-fail; exec ls /proc/self/fd' >/dev/null
    echo 0 >$fails/probability
fi
echo "klab: provoked"
