# SPDX-License-Identifier: GPL-3.0-or-later
"""Throw-away guests: a kernel, a tiny initramfs and one command; they may panic."""
