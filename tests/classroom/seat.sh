#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The first process of a light seat: seat.sh LOWER DISK NAME KEYS, in namespaces of its own (mount, pid, uts, ipc, net).
#
# LOWER is a Debian tree that is only read, DISK a tmpfs that outlives the seat's reboots, KEYS the
# authorized_keys of its account. sshd is begun again when it dies, as systemd would.
set -eu
lower=$1 disk=$2 name=$3 keys=$4
root=$disk/root
mount --make-rprivate /
mkdir -p "$disk/upper" "$disk/work" "$root"
mount -t overlay seat -o "lowerdir=$lower,upperdir=$disk/upper,workdir=$disk/work" "$root"
mount -t proc proc "$root/proc"
# Whoever asks whether the machine was restarted looks at this number.
cat /proc/sys/kernel/random/uuid >"$disk/boot_id"
mount --bind "$disk/boot_id" "$root/proc/sys/kernel/random/boot_id"
mount -t sysfs -o ro sys "$root/sys"
mount -t tmpfs -o mode=755,size=1m dev "$root/dev"
for node in null zero full random urandom tty; do
    : >"$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 pts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777,size=16m shm "$root/dev/shm"
mount -t tmpfs -o mode=1777,size=16m tmp "$root/tmp"
mount -t tmpfs -o mode=755,size=4m run "$root/run"
mkdir "$root/run/sshd" "$root/run/lock"
hostname "$name"
echo "$name" >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >"$root/etc/hosts"
[ -s "$root/etc/ssh/ssh_host_ed25519_key" ] ||
    ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$root/etc/ssh/ssh_host_ed25519_key"
install -d -o 1000 -g 1000 -m 700 "$root/home/student/.ssh"
install -o 1000 -g 1000 -m 600 "$keys" "$root/home/student/.ssh/authorized_keys"
cd "$root"
pivot_root . mnt
umount -l /mnt
exec </dev/null >/dev/null 2>&1
# shellcheck disable=SC2016 # it is for the shell inside
exec chroot . /bin/sh -c 'while :; do /usr/sbin/sshd -D -E /var/log/sshd.log; sleep 0.2; done'
