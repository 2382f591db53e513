#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest: day.sh SECONDS. What was said goes to /klab/out.
cd /klab || exit
export PYTHONDONTWRITEBYTECODE=1
./leaky >/dev/null &
leaky=$!
sleep 0.5
timeout -s KILL 120 python3 -S hunt.py $leaky "$1" >out/told 2>out/errors </dev/null
echo "status: $?"
read -r _ _ state _ <"/proc/$leaky/stat" && echo "state: $state"
kill -KILL $leaky
python3 -S feed.py requests >out/fed
ASAN_OPTIONS=detect_leaks=0 timeout -s KILL 60 ./notes-asan <few >out/few 2>out/asan
echo "sanitized: $?"
