#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# sh boot.sh FUNCTION: prints words for the kernel's command line, in one line. A kernel that is booted with them
#
# - writes to the first serial port from its first messages on, and not only when the driver of that port is there;
# - shows messages of every level there;
# - says all that FUNCTION, which is built in, has to say at debug level, and no other debug message more.
#
# The command line has "console=ttyS0 loglevel=4" already; yours comes behind it.
echo "" # TODO
