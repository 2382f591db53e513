#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest. day.sh NAME...: two services beside each other, each in a control group of its own, and on each
# of them the student's scripts; slowest.py takes both at once. What a service did it tells when all have answered.
cd /klab || exit
export PYTHONDONTWRITEBYTECODE=1
# BCC asks modprobe for the kernel's headers.
[ -e "/lib/modules/$(uname -r)/modules.dep.bin" ] || depmod
READY=300 ENDS=40 # seconds
declare -A tool
groups=()
for n in 1 2; do
  group=/sys/fs/cgroup/day-$n
  mkdir $group
  mkfifo tell-$n
  (
    echo "$BASHPID" >$group/cgroup.procs
    exec ./service plan-$n $((n - 1)) <tell-$n >out/truth-$n 2>out/service-$n
  ) &
  groups+=("$(stat -c %i $group)")
done
exec 6>tell-1 7>tell-2
echo "groups: ${groups[*]}"

# until_line LINE FILE PROCESS SECOND: there is such a line, or nobody who would write it, or it is too late.
until_line() {
  until grep -qsx "$1" "$2"; do
    ((SECONDS < $4)) && kill -0 "$3" 2>/dev/null || return
    sleep 0.4
  done
}
# watch LABEL COMMAND...
watch() {
  # What a shell starts beside itself would not hear of SIGINT.
  env --default-signal=INT "${@:2}" >"out/$1.said" 2>"out/$1.errors" </dev/null &
  tool[$1]=$!
}
for n in 1 2; do until_line waits out/truth-$n $$ $((SECONDS + 30)); done
for name; do
  case $name in
  *.py) watch "$name" python3 "$name" "${groups[@]}" ;;
  *) for n in 1 2; do watch "$name-$n" bpftrace "$name" "${groups[n - 1]}"; done ;;
  esac
done
for label in "${!tool[@]}"; do
  until_line ready "out/$label.said" "${tool[$label]}" $READY
  echo "$label watches after $SECONDS s"
done
echo >&6
echo >&7
for n in 1 2; do until_line 'done' out/truth-$n $$ $((SECONDS + 60)); done
echo "the day is over after $SECONDS s"
sleep 0.5
kill -INT "${tool[@]}" 2>/dev/null
last=$((SECONDS + ENDS))
for label in "${!tool[@]}"; do
  while kill -0 "${tool[$label]}" 2>/dev/null && ((SECONDS < last)); do sleep 0.2; done
  kill -KILL "${tool[$label]}" 2>/dev/null
  wait "${tool[$label]}" 2>/dev/null
  echo "status: $label $?"
done
echo >&6
echo >&7
exec 6>&- 7>&-
wait
echo "all after $SECONDS s"
