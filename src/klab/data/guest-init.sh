#!/bin/busybox sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Init of a throw-away guest. It waits until the host hands over files and a command, by a
# virtio port, and only then runs: so a guest can be kept at that point and gone on with
# any number of times. Ports: 1 the command's output, 2 its exit status, 3 from the host,
# 4 what it left in /klab/out. If anything panics, no status is handed over, and the
# host tells that from the console.
export PATH=/bin HOME=/ TERM=dumb shell=sh
if [ "$1" != debian ]; then
  mount -t devtmpfs dev /dev
  mount -t proc proc /proc
  mount -t sysfs sys /sys
  # A kernel whose drivers are modules: the host has laid them here, with modules.dep. ext4 asks
  # for its checksum by an alias, which that file does not know.
  [ ! -d /lib/modules ] || modprobe -aq virtio_pci virtio_console virtio_blk crc32c_generic ext4 overlay
  if grep -q klab.base=debian /proc/cmdline; then
    # The lab image below, everything that is written in memory above it. It becomes the
    # root: in a chroot there would be no user namespaces. busybox comes along.
    mkdir -p /below /above /debian
    mount -t ext4 -o ro /dev/vda /below
    mount -t tmpfs above /above
    mkdir -p /above/files/klab /above/work
    cp -a /bin /init /above/files/klab/
    mount -t overlay -o lowerdir=/below,upperdir=/above/files,workdir=/above/work klab /debian
    for place in dev proc sys; do mount --move /$place /debian/$place; done
    exec switch_root /debian /klab/bin/sh /klab/init debian
  fi
else
  export PATH=/klab/bin:/bin
  mkdir -p /dev/pts /dev/shm
  mount -t devpts pts /dev/pts
  mount -t tmpfs shm /dev/shm
  mount -t tmpfs tmp /tmp
  mount -t tmpfs run /run
  mount -t cgroup2 cgroup /sys/fs/cgroup 2>/dev/null
  mount -t debugfs debug /sys/kernel/debug 2>/dev/null
  mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
  mount -t bpf bpf /sys/fs/bpf 2>/dev/null
  ip link set lo up
  hostname localhost
  shell='env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root bash'
fi
until [ -c /dev/vport0p4 ]; do usleep 5000; done
# The kernel that was loaded for a crash: the first one's memory, without free pages and caches,
# goes to the host in a form that needs no seeking. Then QEMU ends.
if [ -e /proc/vmcore ]; then
  $shell -c 'makedumpfile --message-level 6 -F -l -d 31 /proc/vmcore' >/dev/vport0p4
  echo "dumped $?" >/dev/vport0p2
  exec reboot -f
fi
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
exec 3</dev/vport0p3
echo ready >/dev/vport0p2
# The length of an archive, and the time: a guest that was kept is in the past.
read -r length now <&3
date -s "@$now" >/dev/null
head -c "$length" <&3 | tar -xf - -C /
exec 3<&-
# QEMU keeps nothing of its edu devices: in a guest that goes on they are as after a reset, and
# the kernel believes in addresses that are gone. So it looks at them anew.
for device in /sys/bus/pci/devices/*; do
  read -r vendor <"$device/vendor"
  read -r kind <"$device/device"
  [ "$vendor$kind" != 0x12340x11e8 ] || { echo 1 >"$device/remove"; edu=yes; }
done 2>/dev/null
[ "$edu" != yes ] || echo 1 >/sys/bus/pci/rescan
mkdir -p /klab/out
$shell /klab/command </dev/null >/dev/vport0p1 2>&1
status=$?
tar -cf - -C /klab/out . >/dev/vport0p4 2>/dev/null
echo "$status" >/dev/vport0p2
# QEMU ends on a reset (-no-reboot).
exec reboot -f
