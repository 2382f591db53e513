#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Which of silo's debug messages are seen, whatever was seen before, and what the console shows:
#
# sh see.sh off             none
# sh see.sh frame           those of frame.c
# sh see.sh decode          those of the function decode, with function and line before each: "decode:17: …"
# sh see.sh sum             those whose format has the word "sum", in each file
# sh see.sh at FILE LINE    the one at that line
# sh see.sh load            loads silo.ko, which is not loaded yet; those of silo_probe
# sh see.sh quiet           on the console, errors and what is worse; the log still takes all
# sh see.sh loud            on the console, everything
#
# Where nothing else is said the messages look as they are written. Messages of others are left as they are.
control=/proc/dynamic_debug/control

case $1 in
# TODO
*) echo "see.sh: $1 is still to be done ($control)" >&2; exit 2 ;;
esac
