#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest. rounds: a line for each, its name and the words for probes.sh. Others have probes, too,
# and do the same as what is looked at. Then come the server's own probes.
cd /klab || exit
export PYTHONDONTWRITEBYTECODE=1
tracing=/sys/kernel/tracing

state() (
  cd $tracing || exit
  grep -H '' dynamic_events tracing_on trace_options set_event set_event_pid current_tracer events/others/*/enable
  ls instances
)

make server >out/make 2>&1 || exit
echo "built after $SECONDS s"
echo 'p:others/opened do_sys_openat2' >>$tracing/dynamic_events
echo 'p:others/closed filp_close' >>$tracing/dynamic_events
mkfifo /tmp/ask /tmp/answer
while read -r name words; do
  case ${name%%-*} in
  allocate) other='fallocate -l 7 /tmp/others' ;;
  rename) other='mv /tmp/others /tmp/again' ;;
  own) other='./work 0 77' ;;
  esac
  while read -r _; do
    : >/tmp/others
    $other >/dev/null
    echo
  done <>/tmp/ask 1<>/tmp/answer 2>/dev/null &
  others=$!
  state >before
  # shellcheck disable=SC2086 # they are words
  timeout -k 5 60 bash probes.sh $words >"out/$name" 2>"out/$name.errors" </dev/null
  echo "$name: $? after $SECONDS s"
  state >after
  diff before after >"out/$name.left"
  echo 0 >$tracing/events/enable
  kill $others
  wait $others
done <rounds

python3 notes.py ./server teller "$(cat types)" >out/notes
./server <requests >out/off.answers 2>out/off.errors
while read -r event; do echo "$event" >>$tracing/dynamic_events || echo "refused: $event"; done <events
echo 1 >$tracing/events/teller/enable && : >$tracing/trace
./server <requests >out/on.answers 2>out/on.errors
echo 0 >$tracing/events/teller/enable
cp $tracing/trace out/trace
./server <requests >out/again.answers 2>out/again.errors
echo "all after $SECONDS s"
