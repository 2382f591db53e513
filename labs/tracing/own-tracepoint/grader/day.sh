#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest: loads for the depot, and who listens. ask (the grader's words for this run) is a file of
# shell variables: filters, and grams and place for each way. All goes to /klab/out.
cd /klab || exit
declare -A asked
declare -a filters
# shellcheck source=/dev/null # it is drawn by lot
. ./ask
tracing=/sys/kernel/tracing
depot=$tracing/events/depot

state() {
  echo "$1: $(cat $depot/enable) $(cat $depot/*/filter | sort -u | tr '\n' ' ')$(ls $tracing/instances)"
}
load() { cat "load.$1" >/proc/depot; }

insmod depot.ko || exit
for event in parcel_sorted parcel_refused; do
  cp $depot/$event/format out/$event.format
done
load off
cat /sys/module/depot/parameters/seals >out/seals.off

echo 1 >$depot/enable
load all
cat /sys/module/depot/parameters/seals >out/seals.on
echo 0 >$depot/enable
cat $tracing/trace >out/trace

for n in "${!filters[@]}"; do
  mkdir "$tracing/instances/$n"
  # By event: a filter is for one of them alone, and refused when it knows no such field.
  echo "${filters[n]#*:}" >"$tracing/instances/$n/events/depot/${filters[n]%%:*}/filter" || continue
  echo 1 >"$tracing/instances/$n/events/depot/${filters[n]%%:*}/enable"
done
timeout 60 trace-cmd record -q -e depot -o /tmp/all.dat bash -c 'cat load.filters >/proc/depot' >/dev/null
trace-cmd report -i /tmp/all.dat >out/report
for n in "${!filters[@]}"; do
  cat "$tracing/instances/$n/trace" >"out/filter.$n"
  rmdir "$tracing/instances/$n"
done
trace-cmd reset >/dev/null

for way in tracefs trace-cmd perf bpftrace; do
  # shellcheck disable=SC2086 # grams and place are two words
  timeout -k 5 60 bash four.sh $way ${asked[$way]} cp load.$way /proc/depot \
    >out/four.$way 2>out/errors.$way </dev/null
  state $way
  echo 0 >$depot/enable
  for event in "$depot"/*/filter; do echo 0 >"$event"; done
  rmdir $tracing/instances/* 2>/dev/null
done

cat /proc/depot >out/log
rmmod depot && echo gone
