#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# watch.sh SCRIPT [SEED]: a day of the service in a control group of its own, watched by one of your scripts.
# What that answers comes first, and then what the service says of itself. Complete.
cd "$(dirname "$0")" || exit
group=/sys/fs/cgroup/day-$$
place=$(mktemp -d)
mkdir "$group" || exit
trap 'kill $watched 2>/dev/null; wait; rm -r "$place"; rmdir "$group"' EXIT

# shellcheck disable=SC2086 # without a SEED there is no word
python3 plan.py $2 >"$place/plan"
mkfifo "$place/tell"
(
  echo "$BASHPID" >"$group/cgroup.procs"
  exec ./service "$place/plan" <"$place/tell" >"$place/truth"
) &
watched=$!
exec 3>"$place/tell"

# Until there is such a line, and somebody lives who may write it.
line() {
  until grep -qsx "$1" "$2"; do
    kill -0 "$3" 2>/dev/null || exit
    sleep 0.2
  done
}

tool=bpftrace
[ "${1##*.}" = bt ] || tool=python3
line waits "$place/truth" $watched
# What a shell starts beside itself would not hear of SIGINT.
env --default-signal=INT $tool "$1" "$(stat -c %i "$group")" >"$place/said" &
line ready "$place/said" $!
echo >&3
line 'done' "$place/truth" $watched
sleep 0.5
kill -INT $!
wait $!
grep -vx ready "$place/said"
echo 'The service says:'
echo >&3
wait $watched
sed 1,2d "$place/truth" | sort
