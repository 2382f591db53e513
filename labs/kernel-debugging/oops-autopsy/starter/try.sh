#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# One crash that the kernel lives through, and what it said: klab guest --make -- sh try.sh KIND >KIND.log
# KIND: near far freed text bug hung soft hard. (stack and dead are the guest's end: see stack.log.)
kind=$1
insmod wreck.ko || exit 1
sh arm.sh >&2
cd /proc/sys/kernel || exit 1
for name in panic_on_oops softlockup_panic hardlockup_panic hung_task_panic; do echo 0 >$name; done
dmesg -n 1
dmesg -c >/dev/null
(echo "$kind 3142650717" >/proc/wreck) 2>/dev/null &
case $kind in
hung | soft | hard)
  sleep 12
  echo z >/proc/sysrq-trigger # what a panic would have done: dumps the trace
  echo 1 >/sys/module/wreck/parameters/relief
  ;;
esac
sleep 2
dmesg -r
