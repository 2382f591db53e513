#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# look.sh RELEASE: what runs here and what is installed under that release, as JSON.
release=$1
kernel=/boot/vmlinuz-$release
note=/usr/lib/klab/kernels/$release.json
# A bzImage names itself at the place that its header points to; see boot.rst of Linux.
says=
if [ -s "$kernel" ]; then
    at=$(od -An -tu2 -j526 -N2 "$kernel" | tr -d ' ')
    says=$(tail -c "+$((at + 513))" "$kernel" | head -c 512 | tr '\0' '\n' | head -n 1)
fi
# The note outlives a package that somebody has removed.
noted={}
[ -s "$kernel" ] && [ -d "/usr/lib/modules/$release" ] && [ -s "$note" ] && noted=$(cat "$note")
runs=false
[ "$(uname -r)" = "$release" ] && case $says in *") $(uname -v)") runs=true ;; esac
printf '{"running": "%s", "runs": %s, "live": %s, "grub": %s, "package": "%s", "noted": %s}\n' \
    "$(uname -r)" "$runs" \
    "$([ -d /run/systemd/system ] && echo true || echo false)" \
    "$([ -s /boot/grub/grub.cfg ] && echo true || echo false)" \
    "$(dpkg-query -W -f '${Version}' "linux-image-$release" 2>/dev/null)" \
    "$noted"
