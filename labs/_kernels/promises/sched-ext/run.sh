#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
mount -t bpf bpf /sys/fs/bpf
bpftool struct_ops register /klab/probe.bpf.o /sys/fs/bpf
[ ! -e /sys/kernel/sched_ext/state ] || echo "sched_ext: state $(cat /sys/kernel/sched_ext/state)"
find /sys/kernel | sort | uniq | wc -l
bpftool map dump name probe.bss
echo "klab: provoked"
