#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# path.sh FILE: print the kernel functions that one read() of FILE runs through, one name a
# line, in the order in which they were entered. Runs as root, beside the program readone.
here=$(dirname "$0")
tracing=/sys/kernel/tracing

# TODO: function_graph, of __x64_sys_read and only of the process that reads. Leave tracefs as
# it was: tracing on, no tracer, no filter.
"$here/readone" "$1"
cat "$tracing/trace"
