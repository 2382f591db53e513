#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest: lays out files, lets the actors act under monitors, keeps what both said.
#
# day.sh whole INSIDE LIMIT: three monitors see one day. INSIDE is the directory's name.
# day.sh short INSIDE [BTF]: one monitor, and an actor that fits into one process.
cd /klab || exit
# One busybox in memory, where each other tool would be read from the disk; and naps without a process.
PATH=/klab/bin:$PATH
mkfifo silent
exec 9<>silent
nap() {
  read -rt "$1" -u 9
}
kind=$1 inside=$2 more=$3
top=/tmp/day
mkdir $top
mount -t tmpfs day $top
mkdir -p $top/{"$inside","$inside-2"}/deep/mounted $top/{fifos,other} out
mount -t tmpfs day "$top/$inside/deep/mounted"
mkdir "$top/$inside/deep/mounted/again"
# The same file system at a second place.
mount -o bind "$top/$inside/deep/mounted/again" $top/other
mkfifo $top/fifos/{0..63}
while read -r path; do
  printf -v path '%b' "$path"
  mkdir -p "${path%/*}"
  echo x >"$path"
done <files
cp lazy $top/lazy
ln -s "$top/$inside/first" "$top/$inside-2/link"
echo 1 >/proc/sys/kernel/bpf_stats_enabled

declare -A actor
# act NAME CGROUP: an actor that waits for its start.
act() {
  (
    echo "$BASHPID" >"/sys/fs/cgroup/$2/cgroup.procs"
    exec ./act "$1" "plan.$1"
  ) >"out/$1.truth" 2>"out/$1.errors" </dev/null &
  actor[$1]=$!
  waits "$1"
  echo "actor $1 $! $(stat -c %i "/sys/fs/cgroup/$2")"
}
# Until an actor has stopped, or has gone.
waits() {
  for _ in {1..900}; do
    read -r _ comm state _ 2>/dev/null <"/proc/${actor[$1]}/stat" || return
    # Before it has its own name it is the shell that will become it.
    [[ "$comm $state" = "($1) T" || $state = Z ]] && return
    nap 0.03
  done
}
goes() {
  kill -CONT "${actor[$1]}"
  nap 0.1
  waits "$1"
}
declare -A monitor options
# watch NAME OPTION...
watch() {
  options[$1]=${*:2}
  : >"out/$1.said"
  ./filemon "${@:2}" >"out/$1.events" 2>"out/$1.said" </dev/null &
  monitor[$1]=$!
}
# Until they are ready; without one of them there is nothing to see.
ready() {
  for name; do
    for _ in {1..400}; do
      mapfile -t said <"out/$name.said"
      [[ " ${said[*]} " = *" ready "* ]] && continue 2
      kill -0 "${monitor[$name]}" 2>/dev/null || break
      nap 0.05
    done
    kill -KILL "${monitor[@]}"
    # Why not? libbpf tells it, and with it the verifier.
    # shellcheck disable=SC2086 # they are words
    timeout -s KILL 15 ./filemon -v ${options[$name]} 2>"out/$name.log" >/dev/null
    exit 0
  done
}
# ends NAME [SIGNAL]: end a monitor, and say how it did; one that does not is killed.
ends() {
  [ -z "$2" ] || kill "-$2" "${monitor[$1]}"
  for _ in {1..300}; do
    kill -0 "${monitor[$1]}" 2>/dev/null || break
    nap 0.05
  done
  kill -KILL "${monitor[$1]}" 2>/dev/null
  wait "${monitor[$1]}" 2>/dev/null
  echo "status $1 $?"
}
census() {
  echo "census $1 $(./census)"
}

census before
if [ "$kind" = whole ]; then
  mkdir -p /sys/fs/cgroup/group/below /sys/fs/cgroup/group-2
  act first .
  act second group
  act third group/below
  act fourth group-2
  watch all -r 4096
  watch narrow -p "${actor[first]}" -d "$top/$inside" -r 64
  watch group -c /sys/fs/cgroup/group -l "$more"
  ready all narrow group
  for name in first second third fourth; do goes $name; done
  census calm
  goes fourth # calls that open nothing
  census called
  nap 0.3
  ends all KILL
  kill -STOP "${monitor[narrow]}"
  goes fourth # a storm that is not the first one's
  goes first  # storms elsewhere and in the directory
  kill -CONT "${monitor[narrow]}"
  nap 1.2
  goes third # a storm in the group
  nap 0.3
  ends narrow TERM
  ends group TERM
else
  act first .
  if [ "$more" ]; then
    watch none
    ends none
  fi
  watch all -d "$top/$inside" ${more:+-b "$more"}
  ready all
  goes first
  nap 0.3
  ends all TERM
fi
kill -KILL "${actor[@]}"
# Links go when their last holder has gone, programs a while later.
nap 1
census after
find /sys/fs/bpf -mindepth 1 | sed 's/^/pinned /'
sed 's/^/probe /' /sys/kernel/tracing/kprobe_events
exit 0
