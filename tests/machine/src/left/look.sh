#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What leave.sh leaves, as far as it is there; and all programs of control groups.
cd /sys/kernel/tracing || exit
ls /sys/fs/bpf
bpftool prog list | grep -o 'name left_[a-z]*'
bpftool map list | grep -o left_map
bpftool net show | grep -o '^left.*'
bpftool -j cgroup tree | jq -c '.[] | [.cgroup, .programs[].name]'
ls instances
grep -v '^#' dynamic_events set_ftrace_filter set_event events/sched/sched_{wakeup,switch}/trigger
grep . current_tracer tracing_on events/sched/sched_switch/filter
