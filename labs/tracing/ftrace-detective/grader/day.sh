#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest: rounds of the mill, in which others trace and use it, too. rounds has a line for each: its name,
# how many operations, plan_a and plan_b. What the detective said and how it left tracefs goes to /klab/out.
cd /klab || exit
export PYTHONDONTWRITEBYTECODE=1
tracing=/sys/kernel/tracing

# All that somebody could have set, and what somebody has recorded.
state() (
  cd $tracing || exit
  grep -H '' current_tracer tracing_on trace_clock options/* buffer_size_kb set_ftrace_filter \
    set_ftrace_notrace set_ftrace_pid set_event set_event_pid set_graph_function max_graph_depth \
    tracing_thresh dynamic_events events/sched/sched_*/{filter,trigger,enable} events/lock/*/{filter,enable} \
    instances/others/{set_event,trace_options,current_tracer,set_ftrace_filter}
  ls instances
  grep -o 'written by others.*' trace
)

# Others trace: each with an instance, a filter and a trigger of their own, and with odd options.
mkdir $tracing/instances/others
echo 'sched:sched_process_exit' >$tracing/instances/others/set_event
echo schedule >$tracing/set_ftrace_filter
echo 'prio < 50' >$tracing/events/sched/sched_switch/filter
echo 'hist:keys=prev_prio' >$tracing/events/sched/sched_switch/trigger
echo 2 >$tracing/max_graph_depth
while read -r option value; do echo "$value" >"$tracing/options/$option"; done <options
echo 'written by others' >$tracing/trace_marker

while read -r name count plan_a plan_b; do
  insmod mill.ko plan_a="$plan_a" plan_b="$plan_b" hold_us=60000 || exit
  # Bounded, should the detective never come to its end.
  for other in 1 2; do
    (for _ in {1..400}; do [ -e /proc/mill ] && echo b >/proc/mill; done) 2>/dev/null &
    others[other]=$!
  done
  state >before
  timeout -k 5 60 python3 detective.py mill bash ops.sh "$count" >"out/$name" 2>"out/$name.errors" </dev/null
  echo "$name: $? $(cat /sys/module/mill/parameters/{operations,took} | tr '\n' ' ')"
  state >after
  diff before after >"out/$name.left"
  # What was left is not to be found by the next round.
  for left in "$tracing"/instances/*; do
    [ "$left" = $tracing/instances/others ] || { echo nop >"$left/current_tracer"; rmdir "$left"; }
  done
  echo nop >$tracing/current_tracer
  kill "${others[@]}"
  wait
  rmmod mill || exit
done <rounds
