#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What KMSAN says of an answer: klab guest --make -- kmsan sh leak.sh [LABEL] [REQUESTS]
insmod meter.ko label="${1:-meter}" || exit 1
dmesg -n 1
[ "${2:-0}" = 0 ] || ./meterctl event 100 "$2"
./meterctl stats | hexdump -C
dmesg | grep -A 40 "BUG: KMSAN"
