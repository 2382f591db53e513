/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What you write in perf.c, and what main.c lends you for it. */
#ifndef PERF_H
#define PERF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What is counted. The last two want a PMU. */
enum { TASK_CLOCK, PAGE_FAULTS, CONTEXT_SWITCHES, CYCLES, INSTRUCTIONS, COUNTERS };

struct counts {
	uint64_t value[COUNTERS];
	uint64_t enabled; /* ns that the group was switched on */
	uint64_t running; /* ns of these that it really counted */
};

/* Whether this computer has a PMU. Only an error that says so is a no; any other one says nothing of it. */
bool pmu(void);

/*
 * Open all that is to be counted of process `pid` as one group, with cycles and instructions where there is
 * a PMU. What the kernel does for the process counts, too. Counting starts when the process executes its
 * program. 0, or -1 with errno.
 */
int count_open(pid_t pid, bool hardware);

/* Read the whole group at once. 0, or -1 with errno. */
int count_read(struct counts *counts);

/*
 * Sample process `pid` in user space, `hz` times in each second of its processor time: by cycles where there
 * is a PMU, else by its clock. Samples come into a ring of `pages` pages (a power of two). It starts when the
 * process executes its program. A descriptor that is readable when there is something, or -1 with errno.
 */
int sample_open(pid_t pid, unsigned int hz, unsigned int pages, bool hardware);

/* Take all that is in the ring, and call hit() once for each sample. */
void sample_drain(void);

/* How many records found no room in the ring until now, whether a record tells of it or not. */
uint64_t sample_lost(void);

/*
 * Given, in main.c: a sample was taken in `path`, at `offset` bytes from the start of that file. A path of
 * NULL: nobody knows what was mapped there when the sample was taken.
 */
void hit(const char *path, uint64_t offset);

#endif
