#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest: one service under the student's program, and another one beside it.
cd /klab || exit
export PYTHONDONTWRITEBYTECODE=1
./service plan /dev/vda >out/truth &
watched=$!
./service other /dev/vda 0 >out/other &
beside=$!
{
  while [ ! -s out/truth ] && kill -0 $watched; do sleep 0.05; done
  kill -USR1 $beside
} 2>/dev/null &
timeout -s KILL 150 python3 -S offcpu.py $watched >out/told 2>out/errors </dev/null
echo "status: $?"
sleep 0.5
# What is left of the student's is not to run on.
bpftool prog list 2>/dev/null | grep -cE '^[0-9]+: (tracepoint|kprobe|perf_event|raw_tracepoint|tracing) ' >out/programs
kill -KILL $watched $beside 2>/dev/null
true
