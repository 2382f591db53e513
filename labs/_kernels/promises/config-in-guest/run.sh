#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
zcat /proc/config.gz && echo "klab: provoked"
