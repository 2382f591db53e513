#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest: day.sh SEED. was/ has the starter's programs, now/ the student's; made is a trace by lot.
cd /klab || exit
export PYTHONDONTWRITEBYTECODE=1
# The thread sanitizer wants its addresses where it expects them.
echo 28 >/proc/sys/vm/mmap_rnd_bits

# tried NAME COMMAND…: NAME is what it printed, NAME.errors what it complained of.
tried() {
  local name=$1
  shift
  timeout -s KILL 40 "$@" >"out/$name" 2>"out/$name.errors" </dev/null
  echo "$name: $?"
}

for which in was now; do
  tried "traced-$which" "$which/load-traced" 60 "$1"
  mv trace "out/trace-$which"
  # Only who finds a lock taken, or somebody who waits for it, calls futex.
  tried "calm-$which" perf stat -x, -o "out/futex-$which" -e syscalls:sys_enter_futex "$which/load" 250 "$1"
done
tried spin now/load 250 "$1" spin
tried tsan now/load-tsan 80 "$1"
for trace in made out/trace-was; do
  tried "lines-${trace#*/}" sh -c "exec python3 -S lines.py <$trace"
done
