// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * act NAME PLAN: stop; then do the lines of PLAN, and say of each open what it was.
 *
 *   open|creat|openat|openat2 NAME    the call, by itself; names are in hexadecimal digits
 *   cd NAME         go to that directory
 *   at NAME NAME    openat relative to the directory that was opened by the first one
 *   lazy NAME       a name that lies in a file, in memory that nobody has looked at
 *   fifos N NAME    N threads wait in an open each; NAME, as a directory, has N FIFOs called 0, 1, ...
 *   fork N          a child does the next N lines
 *   storm N NAME    N opens
 *   calls N         N calls that open nothing
 *   stop            stop, until somebody lets it go on
 *
 * seen PID TID PPID COMM RESULT BEFORE AFTER NAME: the name is where the file is, by /proc/self/fd; of a
 * failed open it is the one that was given. stormed N NS NAME: so many of these. stopped: at a stop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINES 200
#define LONG 4096

static char lines[LINES][3 * LONG];
static int count;

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static const char *bytes(const char *digits, char *to)
{
	unsigned int byte;
	char *end = to;

	for (; sscanf(digits, "%2x", &byte) == 1; digits += 2)
		*end++ = byte;
	*end = 0;
	return to;
}

/* One line in one write, so that threads and children do not mix theirs. */
static void say(long result, unsigned long long before, const char *given)
{
	static __thread char line[3 * LONG], name[LONG], link[64];
	unsigned long long after = now();
	char comm[16];
	ssize_t length = strlen(given);
	int used;

	memcpy(name, given, length);
	if (result >= 0) {
		snprintf(link, sizeof(link), "/proc/self/fd/%ld", result);
		length = readlink(link, name, sizeof(name));
	}
	prctl(PR_GET_NAME, comm);
	used = sprintf(line, "seen %d %ld %d %s %ld %llu %llu ", getpid(), syscall(SYS_gettid), getppid(), comm,
		       result, before, after);
	for (ssize_t n = 0; n < length; n++)
		used += sprintf(line + used, "%02x", (unsigned char)name[n]);
	line[used++] = '\n';
	if (write(STDOUT_FILENO, line, used) != used)
		_exit(99);
}

/* The call itself: the C library's functions all become openat. */
static long call(const char *how, int at, const char *name)
{
	struct open_how wanted = { .flags = O_RDONLY };
	long fd;

	if (!strcmp(how, "open"))
		fd = syscall(SYS_open, name, O_RDONLY, 0);
	else if (!strcmp(how, "creat"))
		fd = syscall(SYS_creat, name, 0600);
	else if (!strcmp(how, "openat2"))
		fd = syscall(SYS_openat2, at, name, &wanted, sizeof(wanted));
	else
		fd = syscall(SYS_openat, at, name, O_RDONLY, 0);
	return fd < 0 ? -errno : fd;
}

static void look(const char *how, int at, const char *name)
{
	unsigned long long before = now();
	long fd = call(how, at, name);

	say(fd, before, name);
	if (fd >= 0)
		close(fd);
}

static void relative(char *directory, const char *digits)
{
	char name[LONG];
	unsigned long long before = now();
	long fd = call("openat", AT_FDCWD, bytes(strtok(directory, " "), name));

	say(fd, before, name);
	look("openat", fd, bytes(digits, name));
	close(fd);
}

static void lazy(const char *file)
{
	unsigned long long before = now();
	long fd = call("openat", AT_FDCWD, file);
	const char *there;

	say(fd, before, file);
	there = mmap(NULL, LONG, PROT_READ, MAP_PRIVATE, fd, 0);
	if (there == MAP_FAILED)
		exit(98);
	look("openat", AT_FDCWD, there);
	close(fd);
}

static void *reader(void *name)
{
	/* Its kernel name, too: it is what an event has. */
	prctl(PR_SET_NAME, strrchr(name, '/'));
	look("open", AT_FDCWD, name);
	return NULL;
}

static void fifos(int number, const char *directory)
{
	static char names[64][LONG];
	pthread_t threads[64];

	for (int n = 0; n < number; n++) {
		snprintf(names[n], LONG, "%s/%d", directory, n);
		pthread_create(&threads[n], NULL, reader, names[n]);
	}
	usleep(400000);
	look("open", AT_FDCWD, directory);
	for (int n = 0; n < number; n++) {
		unsigned long long before = now();
		int fd = open(names[n], O_WRONLY);

		say(fd < 0 ? -errno : fd, before, names[n]);
		pthread_join(threads[n], NULL);
		close(fd);
	}
}

static void storm(int number, const char *digits)
{
	unsigned long long before = now();
	char name[LONG];

	bytes(digits, name);
	for (int n = 0; n < number; n++)
		close(syscall(SYS_openat, AT_FDCWD, name, O_RDONLY, 0));
	printf("stormed %d %llu %s", number, now() - before, digits);
	fflush(stdout);
}

static void act(int from, int to)
{
	char word[16], name[LONG];
	int number;

	for (int n = from; n < to; n++) {
		char *rest = strchr(lines[n], ' ') ? strchr(lines[n], ' ') + 1 : "";

		sscanf(lines[n], "%15s", word);
		number = atoi(rest);
		if (!strcmp(word, "stop")) {
			puts("stopped");
			fflush(stdout);
			raise(SIGSTOP);
		}
		if (!strcmp(word, "cd") && chdir(bytes(rest, name)))
			exit(97);
		else if (!strcmp(word, "at"))
			relative(rest, strchr(rest, ' ') + 1);
		else if (!strcmp(word, "lazy"))
			lazy(bytes(rest, name));
		else if (!strcmp(word, "fifos"))
			fifos(number, bytes(strchr(rest, ' ') + 1, name));
		else if (!strcmp(word, "storm"))
			storm(number, strchr(rest, ' ') + 1);
		else if (!strcmp(word, "calls"))
			while (number--)
				syscall(SYS_getppid);
		else if (!strcmp(word, "fork")) {
			if (!fork()) {
				act(n + 1, n + 1 + number);
				exit(0);
			}
			wait(NULL);
			n += number;
		} else if (strcmp(word, "cd") && strcmp(word, "stop"))
			look(word, AT_FDCWD, bytes(rest, name));
	}
}

int main(int argc, char **argv)
{
	FILE *plan = argc == 3 ? fopen(argv[2], "r") : NULL;

	if (!plan)
		return 96;
	while (count < LINES && fgets(lines[count], sizeof(lines[0]), plan))
		count++;
	fclose(plan);
	prctl(PR_SET_NAME, argv[1]);
	raise(SIGSTOP);
	act(0, count);
	return 0;
}
