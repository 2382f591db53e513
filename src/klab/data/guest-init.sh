#!/bin/busybox sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Init of a throw-away guest. It waits until the host hands over files and a command, by a
# virtio port, and only then runs: so a guest can be kept at that point and gone on with
# any number of times. Ports: 1 the command's output, 2 its exit status, 3 from the host,
# 4 what it left in /klab/out. If anything panics, no status is handed over, and the
# host tells that from the console.
export PATH=/bin HOME=/ TERM=dumb
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
# A kernel whose drivers are modules: the host has laid them here, with modules.dep.
[ ! -d /lib/modules ] || modprobe -aq virtio_pci virtio_console virtio_blk ext4 overlay
root=/
if grep -q klab.base=debian /proc/cmdline; then
  # The lab image below, everything that is written in memory above it.
  root=/debian
  mkdir -p /below /above /debian
  mount -t ext4 -o ro /dev/vda /below
  mount -t tmpfs above /above
  mkdir /above/files /above/work
  mount -t overlay -o lowerdir=/below,upperdir=/above/files,workdir=/above/work klab /debian
  for place in dev proc sys; do mount --rbind /$place /debian/$place; done
  mkdir -p /debian/dev/pts /debian/dev/shm
  mount -t devpts pts /debian/dev/pts
  mount -t tmpfs shm /debian/dev/shm
  mount -t tmpfs tmp /debian/tmp
  mount -t tmpfs run /debian/run
  mount -t cgroup2 cgroup /debian/sys/fs/cgroup 2>/dev/null
  mount -t debugfs debug /debian/sys/kernel/debug 2>/dev/null
  mount -t tracefs trace /debian/sys/kernel/tracing 2>/dev/null
  mount -t bpf bpf /debian/sys/fs/bpf 2>/dev/null
  ip link set lo up
fi
until [ -c /dev/vport0p4 ]; do usleep 5000; done
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
exec 3</dev/vport0p3
echo ready >/dev/vport0p2
# The length of an archive, and the time: a guest that was kept is in the past.
read -r length now <&3
date -s "@$now" >/dev/null
head -c "$length" <&3 | tar -xf - -C "$root"
exec 3<&-
mkdir -p "$root/klab/out"
if [ "$root" = / ]; then
  sh /klab/command </dev/null >/dev/vport0p1 2>&1
else
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    chroot "$root" /bin/bash /klab/command </dev/null >/dev/vport0p1 2>&1
fi
status=$?
tar -cf - -C "$root/klab/out" . >/dev/vport0p4 2>/dev/null
echo "$status" >/dev/vport0p2
# QEMU ends on a reset (-no-reboot).
exec reboot -f
