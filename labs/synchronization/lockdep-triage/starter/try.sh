#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What brings out each report: klab guest --make san -- sh try.sh circular|recursive|interrupt
# lockdep tells one thing and then switches itself off, until the next boot.
c=/proc/depot/control
insmod depot.ko || exit 1
case $1 in
circular) echo "add 2 5" >$c; echo "audit 2" >$c ;;
recursive) echo "move 2 3 0" >$c ;;
interrupt) sleep 1; cat /proc/depot/history ;;
esac
dmesg | grep -A 60 -e WARNING: -e BUG:
rmmod depot
