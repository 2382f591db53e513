#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Run once, as root, when wreck.ko is loaded and nothing has happened yet. From then on
#
# - every oops, soft lockup, hard lockup and hung task ends in a panic, and a panic in a reboot (the
#   command line has panic=-1); a CPU or a task that hangs is noticed within 10 s;
# - the kernel's log then ends with the last functions of wreck that were entered;
# - the whole report, from its first line, can be read after the reboot: see recover.sh;
# - a machine of which no CPU answers any more is reset within 20 s, and a healthy one never is.
cd "$(dirname "$0")" || exit

# TODO. Nothing is mounted below /sys yet. watchdog.ko and i6300esb.ko lie beside this file.
