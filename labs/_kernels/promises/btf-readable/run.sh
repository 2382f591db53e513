#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
btf=/sys/kernel/btf/vmlinux
[ ! -e $btf ] || echo "btf: $(stat -c %s $btf) bytes"
# The first match ends it: the whole dump takes a minute of an emulated guest.
bpftool btf dump file $btf | grep -m 1 "STRUCT 'task_struct' size="
echo "klab: provoked"
