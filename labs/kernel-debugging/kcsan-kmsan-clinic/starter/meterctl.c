// SPDX-License-Identifier: GPL-2.0-only
/*
 * meterctl event US [COUNT]    a request that took US microseconds, or so many, each of which took one more
 * meterctl stats [TIMES]       what the meter answers, the last time, as it is: meterctl stats | hexdump -C
 *
 * Where the grader's /dev/dirt is, it is called before: it leaves its traces on the kernel's stack.
 * Nothing to do here. The grader brings its own copy.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "meter.h"

int main(int argc, char **argv)
{
	int device = open("/dev/meter", O_RDWR), dirt = open("/dev/dirt", O_RDWR);
	const char *verb = argc > 1 ? argv[1] : "";
	struct meter_stats stats;
	unsigned long us, times;

	if (device < 0) {
		perror("/dev/meter");
		return 1;
	}
	if (!strcmp(verb, "event") && argc > 2) {
		us = strtoul(argv[2], NULL, 10);
		for (times = argc > 3 ? strtoul(argv[3], NULL, 10) : 1; times; times--) {
			if (ioctl(device, METER_EVENT, us++))
				return 1;
		}
		return 0;
	}
	if (strcmp(verb, "stats"))
		return 2;
	for (times = argc > 2 ? strtoul(argv[2], NULL, 10) : 1; times; times--) {
		if (dirt >= 0)
			ioctl(dirt, _IO('d', 1));
		if (ioctl(device, METER_STATS, &stats)) {
			perror("METER_STATS");
			return 1;
		}
	}
	return write(1, &stats, sizeof(stats)) == sizeof(stats) ? 0 : 1;
}
