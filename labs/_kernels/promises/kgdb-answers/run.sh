#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Where a debugger is built in, this line ends only after it has let the kernel go on.
echo g >/proc/sysrq-trigger
echo "klab: provoked"
