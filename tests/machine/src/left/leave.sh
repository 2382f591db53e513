#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Leaves in the kernel what outlives the program that made it, as root.
set -e
cd "$(dirname "$0")"
clang -O2 -g -target bpf -I/usr/include/x86_64-linux-gnu -c left.bpf.c -o left.bpf.o
pins=/sys/fs/bpf/left
bpftool prog loadall left.bpf.o $pins
bpftool map create ${pins}_map type hash key 4 value 4 entries 8 name left_map
ip link add left0 type veth peer name left1
ip link set left0 up
ip link set left1 up
bpftool net attach xdp pinned $pins/left_xdp dev left0
bpftool net attach xdpgeneric pinned $pins/left_xdp dev left1
tc qdisc add dev left0 clsact
tc filter add dev left0 ingress bpf da obj left.bpf.o sec tc
bpftool net attach tcx_egress pinned $pins/left_tc dev left1
mkdir /sys/fs/cgroup/left
bpftool cgroup attach /sys/fs/cgroup/left cgroup_inet_ingress pinned $pins/left_cgroup
cd /sys/kernel/tracing
mkdir instances/left
echo 1 >instances/left/events/sched/enable
echo 'p:left/opened do_sys_openat2' >>kprobe_events
echo 'left_late u64 ns' >>synthetic_events
echo 'hist:keys=pid:t=common_timestamp' >events/sched/sched_wakeup/trigger
# shellcheck disable=SC2016 # $t is tracefs's
echo 'hist:keys=next_pid:ns=common_timestamp-$t:onmatch(sched.sched_wakeup).left_late($ns)' \
  >events/sched/sched_switch/trigger
echo 'next_pid > 1' >events/sched/sched_switch/filter
echo 1 >events/left/opened/enable
echo vfs_read >set_ftrace_filter
echo function >current_tracer
echo 0 >tracing_on
