#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
btf=/sys/kernel/btf/vmlinux
[ ! -e $btf ] || echo "btf: $(stat -c %s $btf) bytes"
bpftool btf dump file $btf format c | grep "^struct task_struct {"
echo "klab: provoked"
