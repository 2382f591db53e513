# SPDX-License-Identifier: GPL-3.0-or-later
# sudo awk -f waste.awk /proc/slabinfo
# Prints the five caches that hold the most bytes which are in no active object, as "NAME BYTES", the
# worst first. A cache holds the pages of its slabs; the first lines of the file say which column is what.
{
	# TODO
}
