#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest. day.sh NAME...: two services, each in a control group of its own, and on each
# of them the student's scripts; slowest.py takes both at once. What a service did it tells when all have answered.
cd /klab || exit
export PYTHONDONTWRITEBYTECODE=1
READY=300 ENDS=40 # seconds
# Waiting costs no process, of which the guest would be slow.
mkfifo silent tell-1 tell-2
exec 9<>silent
nap() {
  read -rt "$1" -u 9
}
# until_line LINE FILE PROCESS SECOND: there is such a line, or nobody who would write it, or it is too late.
until_line() {
  local lines
  while ((SECONDS < $4)) && kill -0 "$3" 2>/dev/null; do
    mapfile -t lines <"$2"
    [[ " ${lines[*]} " = *" $1 "* ]] && return
    nap 0.3
  done
}

# BCC asks modprobe for the kernel's headers.
[ -e "/lib/modules/$(uname -r)/modules.dep.bin" ] || depmod
declare -A tool
groups=() services=()
for n in 1 2; do
  group=/sys/fs/cgroup/day-$n
  mkdir $group
  : >out/truth-$n
  (
    echo "$BASHPID" >$group/cgroup.procs
    exec ./service plan-$n <tell-$n >>out/truth-$n 2>out/service-$n
  ) &
  services+=($!)
  groups+=("$(stat -c %i $group)")
done
exec 6>tell-1 7>tell-2
echo "groups: ${groups[*]}"
for n in 1 2; do until_line waits out/truth-$n "${services[n - 1]}" $((SECONDS + 60)); done

# watch LABEL COMMAND...
watch() {
  : >"out/$1.said"
  # What a shell starts beside itself would not hear of SIGINT.
  env --default-signal=INT "${@:2}" >>"out/$1.said" 2>"out/$1.errors" </dev/null &
  tool[$1]=$!
}
for name; do
  case $name in
  *.py) watch "$name" python3 "$name" "${groups[@]}" ;;
  *) for n in 1 2; do watch "$name-$n" bpftrace "$name" "${groups[n - 1]}"; done ;;
  esac
done
for label in "${!tool[@]}"; do until_line ready "out/$label.said" "${tool[$label]}" $READY; done
echo "all watch after $SECONDS s"
# One after the other: their rivals for a processor must not meet.
for n in 1 2; do
  echo >&$((5 + n))
  until_line 'done' out/truth-$n "${services[n - 1]}" $((SECONDS + 60))
done
nap 0.5
echo "the days are over after $SECONDS s"
kill -INT "${tool[@]}" 2>/dev/null
last=$((SECONDS + ENDS))
for label in "${!tool[@]}"; do
  while kill -0 "${tool[$label]}" 2>/dev/null && ((SECONDS < last)); do nap 0.2; done
  kill -KILL "${tool[$label]}" 2>/dev/null
  wait "${tool[$label]}" 2>/dev/null
  echo "status: $label $?"
done
echo >&6
echo >&7
exec 6>&- 7>&-
wait "${services[@]}"
echo "all after $SECONDS s"
