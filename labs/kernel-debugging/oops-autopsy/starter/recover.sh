#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Run as root after the reboot: prints what the kernel said before it died, each line in its order, without the
# headlines of the records; and makes room, so that the next crash finds an empty store.

# TODO
