#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# install.sh PACKAGE…: install them together, so that their order is apt's affair. A file of
# /var/cache/klab goes by its path, one of an archive as NAME=VERSION.
#
# An artefact of the same release and another digest replaces it, whichever version apt
# holds for the newer one. The packages' hooks make an initramfs only where a boot loader
# would load it.
set -eu
export DEBIAN_FRONTEND=noninteractive
[ -s /boot/grub/grub.cfg ] || export INITRD=No
apt-get -q -y --allow-downgrades --no-install-recommends install "$@"
case $* in */var/cache/klab/*) rm -rf /var/cache/klab ;; esac
