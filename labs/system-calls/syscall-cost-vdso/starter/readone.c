// SPDX-License-Identifier: GPL-3.0-or-later
/* readone FILE: read one byte of FILE, with tracing on for just that call. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int tracing = open("/sys/kernel/tracing/tracing_on", O_WRONLY);
	int file = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	int fine;
	char byte;

	if (tracing < 0 || file < 0) {
		perror("readone");
		return 2;
	}
	fine = write(tracing, "1", 1) == 1;
	fine = read(file, &byte, 1) >= 0 && fine;
	fine = write(tracing, "0", 1) == 1 && fine;
	return !fine;
}
