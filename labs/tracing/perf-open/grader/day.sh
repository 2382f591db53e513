#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest. day.sh PLAN: each line of PLAN is a name, the meter's options in one word
# (-f=500=-p=2), and what the workload is to do. What was said goes to /klab/out.
cd /klab || exit
ls /sys/bus/event_source/devices >out/devices
while read -r name options words; do
  # shellcheck disable=SC2086 # they are words
  timeout -s KILL 60 ./meter ${options//=/ } -o "out/$name.report" ./work $words \
    >"out/$name.truth" 2>"out/$name.errors" </dev/null &
  waited=$!
  # A meter that is left stopped goes on when its program has ended.
  case $words in
  *stop*go*) ;;
  *stop*)
    until grep -qs ^end: "out/$name.truth" || ! kill -0 $waited; do sleep 0.2; done
    sleep 0.5
    pkill -CONT -P $waited
    ;;
  esac
  wait $waited
  echo "$name: $?"
done <"$1"
