#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What the grader does in its guests.
#
# voyage.sh series POLLS       goes down as the file `series` says, line by line, and lives: kind, route, and what
#                              tells of a standstill, waited for POLLS half seconds
# voyage.sh death KIND ROUTE   goes down once, armed
# voyage.sh reborn             what is left of that one after the reboot; then all CPUs are stopped
k=/proc/sys/kernel
panics="panic_on_oops softlockup_panic hardlockup_panic hung_task_panic"
cd /klab || exit

armed() {
  echo 0 >$k/panic_on_oops # the grader's guests have oops=panic
  insmod wreck.ko || exit 1
  sh arm.sh </dev/null >/tmp/said 2>&1
}

down() {
  echo "klab: goes down: $1" >/dev/kmsg
  echo "$1 $2" >/proc/wreck
}

standstill() {
  n=0
  until dmesg | grep -q "$1" || [ $n -gt "$polls" ]; do
    usleep 500000
    n=$((n + 1))
  done
  usleep 500000
  echo z >/proc/sysrq-trigger # dumps the trace, as a panic would
  echo 1 >/sys/module/wreck/parameters/relief
}

case $1 in
series)
  polls=$2
  armed
  for name in $panics ftrace_dump_on_oops; do echo "$name $(cat "$k/$name")"; done >/tmp/state
  cat /tmp/state
  head -c 300 /tmp/said
  if grep -q ' 0$' /tmp/state; then exit; fi
  for name in $panics; do echo 0 >"$k/$name"; done
  while read -r kind route sign; do
    echo 1 >/sys/kernel/tracing/tracing_on
    (down "$kind" "$route") 2>/dev/null &
    [ -z "$sign" ] || standstill "$sign"
    wait $!
    usleep 200000
    echo 0 >/sys/module/wreck/parameters/relief
  done <series
  echo "klab: goes down: no more" >/dev/kmsg
  ;;
death)
  armed
  sleep 1
  down "$2" "$3"
  sleep 60
  ;;
reborn)
  sh recover.sh </dev/null >/tmp/log 2>/tmp/errors
  echo "<<log"
  cat /tmp/log
  echo "<<errors"
  head -c 300 /tmp/errors
  umount /sys/fs/pstore 2>/dev/null
  mount -t pstore pstore /sys/fs/pstore
  echo "<<left"
  ls /sys/fs/pstore
  echo "<<backend"
  cat /sys/module/pstore/parameters/backend
  armed
  sleep 1
  echo "<<uptime"
  cat /proc/uptime
  usleep 300000
  down dead ""
  sleep 80
  ;;
esac
