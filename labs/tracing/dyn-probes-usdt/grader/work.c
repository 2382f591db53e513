// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * work KIND WORD...: does with each word what KIND says, by functions that are probed: of the kernel, or its own.
 * Between two words somebody else has a turn, who does the same.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OWN(name, factor) \
	static __attribute__((noipa)) long name(int number) \
	{ \
		return (long)number * factor; \
	}
OWN(saw, 3)
OWN(drill, 5)
OWN(plane, 7)
OWN(clamp, 11)

static int file;
static char last[64] = "first";

static void allocate(const char *word)
{
	char *size;
	long at = strtol(word, &size, 10);

	/* By hand: the C library would refuse a place below 0 itself. */
	syscall(SYS_fallocate, file, 0, at, strtol(size + 1, NULL, 10));
}

/* A name with a slash in front is a folder's: no file gets that name. */
static void again(const char *word)
{
	if (*word == '/' && mkdir(++word, 0700))
		err(1, "%s", word);
	if (!rename(last, word))
		snprintf(last, sizeof(last), "%s", word);
}

static void own(int which, const char *word)
{
	long (*const all[])(int) = { saw, drill, plane, clamp };
	long sum = 0;

	for (int n = 0; n < 4; n++)
		sum += all[n](n == which ? atoi(word) : 424242);
	printf("%ld\n", sum);
}

static void others_turn(void)
{
	int ask = open("/tmp/ask", O_WRONLY), answer = open("/tmp/answer", O_RDONLY);
	char byte = '\n';

	if (write(ask, &byte, 1) != 1 || read(answer, &byte, 1) != 1)
		err(1, "nobody else is there");
	close(ask);
	close(answer);
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/work-XXXXXX";

	if (argc < 3 || !mkdtemp(folder) || chdir(folder) || close(creat(last, 0600)))
		err(1, "work KIND WORD...");
	file = open(last, O_RDWR);
	for (int n = 2; n < argc; n++) {
		if (n > 2)
			others_turn();
		if (!strcmp(argv[1], "allocate"))
			allocate(argv[n]);
		else if (!strcmp(argv[1], "rename"))
			again(argv[n]);
		else
			own(atoi(argv[1]), argv[n]);
	}
	return 0;
}
