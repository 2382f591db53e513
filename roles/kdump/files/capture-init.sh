#!/bin/busybox sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Init of a capture kernel: what is left of the first one goes into the root file system, then the
# machine restarts. Whatever fails, it restarts; the log of the crash is saved before the memory.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
. /settings
for file in /modules/*.ko; do
  [ ! -e "$file" ] || insmod "$file"
done
tries=0
until [ -b "$source" ] || [ $tries = 300 ]; do
  usleep 100000
  tries=$((tries + 1))
done
if mount -t "$kind" "$source" /root; then
  for place in proc dev; do mount --bind /$place /root/$place; done
  folder=$path/$(date -u +%Y%m%d-%H%M%S)
  mkdir -p "/root$folder"
  echo "$release" >"/root$folder/release"
  dump="chroot /root /usr/bin/makedumpfile --message-level 6"
  $dump --dump-dmesg /proc/vmcore "$folder/dmesg.txt"
  if $dump -l -d "$level" /proc/vmcore "$folder/vmcore.part"; then
    mv "/root$folder/vmcore.part" "/root$folder/vmcore"
    echo "klab: a dump is in $folder"
  else
    rm -f "/root$folder/vmcore.part"
    echo "klab: no dump could be written to $folder; its dmesg.txt holds the log of the crash"
  fi
  sync
  for place in proc dev; do umount /root/$place; done
  umount /root
else
  echo "klab: $source cannot be mounted: no dump"
fi
reboot -f
