#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The kernel's messages go to another computer, sent by the kernel itself:
#
# sh remote.sh on     from eth0, 10.0.2.15/24, to 10.0.2.2, UDP port 6666, MAC address ff:ff:ff:ff:ff:ff; each with
#                     its level, number and time ("4,1200,7000000,-;text")
# sh remote.sh off    nothing is sent; and what is said meanwhile is not sent later
#
# It may be switched on and off several times. netconsole.ko lies beside this file.
cd "$(dirname "$0")" || exit

# TODO
