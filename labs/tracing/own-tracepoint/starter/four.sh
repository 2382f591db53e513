#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# four.sh WAY GRAMS PLACE COMMAND...: run COMMAND, and print the id of each parcel with more than GRAMS grams that
# was sorted to PLACE (0, 1 or 2) meanwhile, one a line, in their order, and nothing else. WAY says which of four
# tools listens: tracefs, trace-cmd, perf or bpftrace. The kernel picks them out, by a filter or by a BPF program.
# Afterwards all is as before: no event is on, no filter is set, no instance is left.
way=$1 grams=$2 place=$3
shift 3
events=/sys/kernel/tracing/events/depot
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

case $way in
tracefs)
  # TODO: filter, enable, trace
  "$@"
  ;;
trace-cmd)
  # TODO: record with a filter, report
  "$@"
  ;;
perf)
  # TODO: record with a filter, script
  "$@"
  ;;
bpftrace)
  # TODO: -e, a filter in slashes, -c
  "$@"
  ;;
esac
: "$events $grams $place"
