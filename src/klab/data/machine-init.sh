#!/bin/busybox sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Init of a lab machine's initramfs: load the drivers, set the network up as a kernel with
# IP_PNP does by itself, mount the root that the command line names, hand over to its init.
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
modprobe -aq virtio_pci virtio_blk ext4 virtio_net virtio_rng qemu_fw_cfg

root='' init=/sbin/init
read -r line </proc/cmdline
for word in $line; do
    case $word in
        root=*) root=${word#root=} ;;
        init=*) init=${word#init=} ;;
        ip=*:*) address=${word#ip=} ;;
    esac
done

# CLIENT:SERVER:GATEWAY:MASK:NAME:DEVICE:METHOD, see nfsroot.rst of Linux.
if [ -n "${address:-}" ]; then
    IFS=: read -r client _ gateway mask _ device _ <<EOF
$address
EOF
    ifconfig lo up
    ifconfig "$device" "$client" netmask "$mask" up
    route add default gw "$gateway"
fi

tries=0
until [ -b "$root" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 500 ] || { echo "VFS: Cannot open root device $root" >/dev/kmsg; exit 1; }
    usleep 20000
done
mkdir -p /new
mount -t ext4 -o rw "$root" /new || { echo "VFS: Unable to mount root fs on $root" >/dev/kmsg; exit 1; }
for folder in dev proc sys; do
    mount -o move "/$folder" "/new/$folder"
done
exec switch_root /new "$init"
