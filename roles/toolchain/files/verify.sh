#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs each line of standard input as a shell command, four at a time, and prints
# those that fail, with what they said. xargs ends with 123 when there is one.
export LC_ALL=C.UTF-8
# shellcheck disable=SC2016 # the inner shell is the one to expand
exec xargs --delimiter='\n' --max-procs=4 --replace sh -c '
    said=$(timeout 120 sh -c "$1" 2>&1 </dev/null) || { code=$?; echo "$1: exit status $code: $said"; exit 1; }
' sh {}
