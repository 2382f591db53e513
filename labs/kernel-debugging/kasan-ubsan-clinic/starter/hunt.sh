#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# hunt.sh NAME N: brings KFENCE to report a visit to the zoo, on Debian's own kernel, within a minute.
#
#     klab guest --make -- stock sh hunt.sh freed 3
#
# Exit status 0: the kernel has reported something in zoo_NAME since this script began. 1: it has not, and
# after so many guarded objects it will not. An older report, of another hunt, does not count. The kernel
# was started with kfence.sample_interval=100.
[ -e /proc/zoo ] || insmod zoo.ko || exit 2

# TODO
echo "$1 $2" >/proc/zoo
exit 1
