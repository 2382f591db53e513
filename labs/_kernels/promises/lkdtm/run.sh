#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
mount -t debugfs debug /sys/kernel/debug
# Debian's kernel has no such module: asking for it is all that can be done there.
modprobe lkdtm && echo WARNING >/sys/kernel/debug/provoke-crash/DIRECT
echo "klab: provoked"
