#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in the guest: day.sh MS CALLS. What the student's programs printed goes to /klab/out.
cd /klab || exit
export PYTHONDONTWRITEBYTECODE=1 # and -S: no time for packages that nobody uses
echo 0 >/proc/sys/kernel/kptr_restrict
# Copies of all that was sampled are of no use here.
printf '[buildid]\n\tdir = /dev/null\n' >/root/.perfconfig

# tried NAME COMMAND…: NAME is what it printed, NAME.errors what it complained of.
tried() {
  local name=$1
  shift
  timeout -s KILL 60 "$@" >"out/$name" 2>"out/$name.errors" </dev/null
  echo "$name: $?"
}

tried record bash record.sh /tmp/recorded ./work out/truth "$1" 0
timeout 60 perf script -i /tmp/recorded >out/script 2>out/script.errors
tried cost python3 -S cost.py ./work out/cost.log 150 "$2"
cat made out/script >/tmp/both
tried fold sh -c 'exec python3 -S fold.py </tmp/both'
tried flame python3 -S flame.py after
tried diff python3 -S flame.py before after
TIMEFORMAT='%U %S'
# The quickest of three turns is the one that others at work on this computer have disturbed least.
for which in slow service slow service slow service; do
  { time tried "$which" "./$which" orders; } 2>>"out/$which.time"
done
