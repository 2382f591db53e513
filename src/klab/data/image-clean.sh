#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# image-clean.sh EPOCH, run inside an image's tree: takes away what belongs to the
# build (not to the machine) and what would differ from one build to the next.
epoch=$1

# The build's own settings.
rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/klab-build /etc/apt/apt.conf.d/99mmdebstrap
rm -rf /root/.ansible /root/.cache /root/.bash_history

# One machine's identity: it comes with the first boot, by credentials.
rm -f /etc/ssh/ssh_host_* /etc/hostname /var/lib/dbus/machine-id /var/lib/systemd/random-seed
: >/etc/machine-id
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >/etc/hosts

# Caches, lists and logs: made anew when they are wanted.
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/man/* /var/cache/ldconfig/* /var/cache/debconf/*-old \
    /var/lib/dpkg/*-old /var/lib/systemd/deb-systemd-helper-enabled/*.tmp /var/lib/apt/extended_states~ \
    /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid- /var/tmp/*
rm -f /etc/.pwd.lock
find /var/log -type f -delete

# The day of an account's last password change: that of the build.
sed -i -E "s/^([^:]*:[^:]*):[0-9]+:/\1:$((epoch / 86400)):/" /etc/shadow

# Nothing is to be updated at the first boot: /usr is not newer than these stamps.
touch -d "@$epoch" /etc/.updated /var/.updated
