/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What you write in monitor.c, and what main.c lends you for it. */
#ifndef FILEMON_H
#define FILEMON_H

#include <stdint.h>
#include <sys/types.h>

/* Opens that are wanted; where several things are asked for all of them must hold. */
struct wanted {
	pid_t pid; /* of this process, in all of its threads; 0: of any */
	const char *cgroup; /* by processes in this cgroup, or in one below it; NULL: in any */
	/*
	 * That found this directory, or something below it, by whatever name. An open that failed has found
	 * nothing. NULL: all opens, failed ones too.
	 */
	const char *directory;
	unsigned int limit; /* so many events in each second at most; 0: any number */
	unsigned int ring; /* bytes of the ring, a power of two */
	const char *btf; /* a file that describes the kernel's types; NULL: the kernel does so itself */
};

/* One open that came to its end. */
struct opened {
	uint64_t ns; /* from the call to its return */
	uint64_t cgroup; /* id of the caller's cgroup */
	int64_t result; /* a descriptor, or -errno */
	pid_t pid, tid, ppid; /* process, thread, and the process's parent */
	const char *comm; /* the thread's name */
	/*
	 * Where the file is, from the root of all mounts; when the open failed, the name as it was given. Of
	 * more than 1000 bytes or 40 levels the front may be missing.
	 */
	const char *path;
};

struct sums {
	uint64_t lost; /* wanted opens for which there was no room */
	uint64_t skipped; /* wanted opens beyond the limit */
};

#define NO_TYPES 2

/*
 * Watch open, openat, openat2 and creat. 0 when each wanted open from now on is an event, or is counted; NO_TYPES
 * when the kernel does not describe its types, and no file was given that does; else a negative errno.
 */
int monitor_start(const struct wanted *wanted);

/* Wait for events, for `ms` at most, and report() all that are there. Negative when that is not possible. */
int monitor_poll(int ms);

/* Watch no longer. What is in the ring can still be had, and the sums. */
void monitor_stop(void);

void monitor_sums(struct sums *sums);

/* Given, in main.c: writes one event. */
void report(const struct opened *opened);

#endif
