#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# install.sh PACKAGE…: install them together, so that their order is apt's affair. A file of
# /var/cache/klab goes by its path, one of an archive as NAME=VERSION.
#
# An artefact of the same release and another digest replaces it, whichever version apt
# holds for the newer one. The packages' hooks make an initramfs only where a boot loader
# would load it. What a run that was cut off left half done is finished first, and a run
# that still goes on is waited for.
set -eu
export DEBIAN_FRONTEND=noninteractive
[ -s /boot/grub/grub.cfg ] || export INITRD=No
apt='apt-get -q -y -o DPkg::Lock::Timeout=600'
[ -z "$(dpkg --audit)" ] || $apt --fix-broken install
$apt --allow-downgrades --no-install-recommends install "$@"
case $* in */var/cache/klab/*) rm -rf /var/cache/klab ;; esac
