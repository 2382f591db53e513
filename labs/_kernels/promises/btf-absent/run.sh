#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
if [ -e /sys/kernel/btf/vmlinux ]; then echo "btf: present"; else echo "btf: absent"; fi
echo "klab: provoked"
