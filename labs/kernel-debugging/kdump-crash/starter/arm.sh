#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in a debuggee with memory that is kept free for a crash, and nothing in it. The kernel to load
# is /klab/capture/bzImage, its initramfs /klab/capture/initrd.
# TODO
