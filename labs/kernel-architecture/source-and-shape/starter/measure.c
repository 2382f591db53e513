// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * measure FILE COUNT [PID]
 *
 * Reads the first 4 KiB of FILE, COUNT times; whoever serves FILE has to be asked each time.
 * PID is a process that serves it, if any. Prints one JSON object:
 *
 *	reads		how many reads gave all 4096 bytes
 *	switches	context switches of this process and of PID meanwhile
 *	ns		nanoseconds that took, in all
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SIZE 4096

/* TODO: how often a process has been switched away from until now. */
static long switches(const char *pid)
{
	(void)pid;
	return 0;
}

int main(int argc, char *argv[])
{
	static char buffer[SIZE];
	long count, good = 0, before, after, ns = 0;
	int fd;

	if (argc < 3)
		return 1;
	count = atol(argv[2]);
	fd = open(argv[1], O_RDONLY);

	before = switches("self");
	for (long n = 0; n < count; n++)
		good += pread(fd, buffer, SIZE, 0) == SIZE;
	after = switches("self");
	/* TODO: the switches of PID, the time, and: was the server asked? */

	printf("{\"reads\": %ld, \"switches\": %ld, \"ns\": %ld}\n", good, after - before, ns);
	return 0;
}
