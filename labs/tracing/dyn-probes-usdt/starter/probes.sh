#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What was never instrumented is, for the time of a command. All of it by tracefs (dynamic_events).
#
# probes.sh enter FUNCTION VALUE COMMAND...
#	prints VALUE at each entry of a function of the kernel, one a line. VALUE is the number of an argument, the
#	members that it leads to, if any, each one behind a pointer, and a type:
#
#	4/s64					the fourth argument
#	3/dentry:d_name.name/string		the third one is a struct dentry *, and that member a char *
#	1/renamedata:new_dentry/dentry:d_name.name/string
#
# probes.sh leave FUNCTION VALUE COMMAND...
#	prints VALUE, of the argument that came in, and what the function returned as a number with its sign
#	(32 bits), in one line, at each return.
# probes.sh user PROGRAM TWIN FUNCTION COMMAND...
#	prints the first argument of a function of PROGRAM at each entry, as a number with its sign (32 bits).
#	PROGRAM has no symbols; TWIN is the same file before it was stripped.
#
# Only what COMMAND and its children do is printed, and in the end tracefs is as before: what others have in
# dynamic_events and elsewhere stays.
what=$1
shift
: "$what"
# TODO
