#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest: actors in and beside a guarded cgroup, under one policy after the other.
cd /klab || exit
top=/tmp/day groups=/sys/fs/cgroup
mkdir -p $top/{safe,open,shared,group} $groups/{group/below,group-2} out
chmod 755 /klab $top/safe $top/open
chmod 777 $top/shared
chmod 775 $top/group
for place in safe open shared group; do install -m 755 nothing "$top/$place/program"; done
chmod 757 $top/open/program
for place in safe shared; do
  echo "#!$top/$place/program" >"$top/safe/by-$place"
  chmod 755 "$top/safe/by-$place"
done
echo "#!$top/safe/program" >$top/shared/script
chmod 755 $top/shared/script
touch $top/file

# acts NAME CGROUP: an actor there does what plan.NAME says.
acts() {
  [ -e "plan.$1" ] || return
  sed -i "s/GUARD/$guard/" "plan.$1"
  # shellcheck disable=SC2016 # the inner shell's
  timeout -s KILL 60 bash -c 'echo $$ >"$2/cgroup.procs"; exec /klab/try "$1" "plan.$1"' - \
    "$1" "$groups/$2" >"out/$1" 2>&1 </dev/null
}
# Until the guard has said it so often.
heard() {
  for _ in {1..400}; do
    [ "$(grep -c "$1" out/said)" -ge "$2" ] && return
    kill -0 "$guard" 2>/dev/null || return
    sleep 0.05
  done
}
reads=0
reads() {
  cp "$1" policy
  kill -HUP "$guard"
  reads=$((reads + 1))
  heard ^policy $reads
}

census() {
  echo "census $1 $(bpftool prog list | grep -c ^) $(bpftool map list | grep -c ^) $(bpftool link list | grep -c ^)"
}

census before
cp policy.first policy
./guard $groups/group policy >out/events 2>out/said </dev/null &
guard=$!
heard ^ready 1
if ! grep -q ^ready out/said; then
  kill -KILL $guard
  timeout -s KILL 30 ./guard -v $groups/group policy >/dev/null 2>out/log
  exit 0
fi
for place in inside:group below:group/below beside:group-2; do acts "first-${place%:*}" "${place#*:}"; done
reads policy.audit
for place in inside:group beside:group-2; do acts "audit-${place%:*}" "${place#*:}"; done
reads policy.second
for place in inside:group below:group/below; do acts "second-${place%:*}" "${place#*:}"; done
acts loop group &
sleep 0.3
while kill -0 $! 2>/dev/null; do
  reads policy.third
  reads policy.second
done
echo "policies $reads"
kill -0 $guard && echo lives
sleep 0.3
kill -KILL $guard
wait $guard 2>/dev/null
acts after-inside group
sleep 1
census after
find /sys/fs/bpf -mindepth 1 | sed 's/^/pinned /'
exit 0
