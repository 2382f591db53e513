#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Takes away what has no owner any more: sweep.sh bpf|tracing… What a program that runs still holds stays
# with it, and so does what systemd has put there.
set -u
exec 2>/dev/null
tracefs=/sys/kernel/tracing

bpf() {
  local dev kind id name
  find /sys/fs/bpf -mindepth 1 -maxdepth 1 ! -name systemd -exec rm -rf {} +
  # Each mode of XDP is taken off by its own word.
  for dev in $(ip -j -d link show | jq -r '.[] | select(.xdp) | .ifname'); do
    for kind in xdpdrv xdpgeneric xdpoffload; do ip link set dev "$dev" $kind off; done
  done
  tc -j qdisc show | jq -r '.[] | select(.kind == "clsact" or .kind == "ingress") | "\(.dev) \(.kind)"' |
    while read -r dev kind; do tc qdisc del dev "$dev" "$kind"; done
  bpftool -j net show | jq -r '.[].tc[]? | select(.kind | startswith("tcx/")) | "\(.devname) \(.kind)"' |
    while read -r dev kind; do bpftool net detach "${kind/\//_}" dev "$dev"; done
  bpftool -j cgroup tree | jq -r '.[] | .cgroup as $at | .programs[] | "\(.id) \(.attach_type) \(.name) \($at)"' |
    while read -r id kind name dev; do
      [[ $name == sd_* ]] || bpftool cgroup detach "$dev" "$kind" id "$id"
    done
}

tracing() {
  local at line
  echo 0 >$tracefs/tracing_on
  echo nop >$tracefs/current_tracer
  for at in "$tracefs"/instances/*/; do
    echo 0 >"$at/events/enable"
    rmdir "$at"
  done
  # An event with a trigger cannot go, and a trigger's own events would not, either; the last one first.
  grep -rls --include=trigger '^[^#]' $tracefs/events | while read -r at; do
    grep '^[^#]' "$at" | tac | while read -r line; do echo "!${line% \[*\]}" >>"$at"; done
  done
  echo 0 >$tracefs/events/enable
  for at in "$tracefs"/events/*/filter; do echo 0 >"$at"; done
  echo >$tracefs/dynamic_events
  for at in set_ftrace_filter set_ftrace_notrace set_graph_function set_graph_notrace set_ftrace_pid \
    set_event_pid trace; do echo >$tracefs/$at; done
  echo 1 >$tracefs/tracing_on
}

for each; do
  case $each in
    bpf) bpf ;;
    tracing) tracing ;;
  esac
done
exit 0
