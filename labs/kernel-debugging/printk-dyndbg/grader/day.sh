#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What the grader does in its guest: day.sh QUIET SITE
# QUIET: seconds after which a limit is forgotten; SITE: which debug message of decode is asked for, 1 or 2.
# The files beside it hold commands for silo; what is said goes to out/, by the name of the part.
quiet=$1
site=$2
control=/proc/dynamic_debug/control
cd /klab || exit

note() {
  dmesg -r >"out/$1"
  dmesg -c >/dev/null
}

tell() {
  while read -r line; do echo "$line" >/proc/silo; done <"$1"
}

student() {
  sh "$@" </dev/null >>out/said 2>&1
}

cp $control out/before
insmod mill.ko && dmesg -c >/dev/null && insmod silo.ko || exit 1
note found
tell story
note story
sleep "$quiet"
tell flood
note flood
sleep "$quiet"
tell after
note after
cat /sys/module/silo/parameters/described >out/described
cp $control out/control

student see.sh quiet
tell hushed
note hushed
student see.sh loud
student see.sh frame
tell loud
student see.sh off
dmesg -c >/dev/null

echo "module mill func grind +p" >$control
line=$(sed -n 's/^[^ ]*frame.c:\([0-9]*\) \[silo\]decode .*/\1/p' out/control | sort -n | sed -n "${site}p")
n=0
while read -r case silo bin hex; do
  if [ "$case" = at ]; then student see.sh at frame.c "$line"; else student see.sh "$case"; fi
  echo "$silo drain $bin" >/proc/silo
  dmesg -c >/dev/null
  echo "$silo frame $hex" >/proc/silo
  echo $n >/proc/mill
  note see-$n
  n=$((n + 1))
done <looks

student see.sh off
rmmod silo
dmesg -c >/dev/null
student see.sh load
echo "1 frame 010001" >/proc/silo
note load

student remote.sh on
tell sent
student remote.sh off
tell unsent
student remote.sh on
# No program runs any more but this one.
kill -STOP -1
tell stalled
