#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# try.sh OBJECT...: load each program once, as it is loaded in earnest, and show what the verifier says.
# Wants root, and a kernel of the course: `sudo sh try.sh *.bpf.o` on the lab machine.
mount | grep -q ' /sys/fs/bpf ' || mount -t bpf bpf /sys/fs/bpf

# Who serves a stranger's frames has the right to load programs for the network, and none to see what the
# kernel's memory looks like (CAP_PERFMON, which CAP_SYS_ADMIN includes).
service() {
  setpriv --bounding-set -perfmon,-sys_admin "$@"
}

for object; do
  name=$(basename "$object" .bpf.o)
  pin=/sys/fs/bpf/try-$name
  rm -f "$pin"
  case $name in
  visits | known) said=$(service bpftool prog load "$object" "$pin" 2>&1) ;;
  *) said=$(bpftool prog load "$object" "$pin" 2>&1) ;;
  esac
  if [ -e "$pin" ]; then
    echo "$name: loaded, $(bpftool -j prog show pinned "$pin" | grep -o '"bytes_xlated":[0-9]*')"
    rm -f "$pin"
  else
    printf '%s: refused\n%s\n' "$name" "$said" | grep -v '^libbpf: \(map\|failed to load object\)'
  fi
done
