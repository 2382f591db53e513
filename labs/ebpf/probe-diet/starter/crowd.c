// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * crowd PLAN: seeks as the plan says, one thread on each processor. A line of the plan is a device (null, zero
 * or full), whence (0 to 4), an offset, and how many times.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES 4096
#define CPUS 64

static struct line {
	int device, whence;
	long long offset;
	int times;
} lines[LINES];
static int line_count, thread_count;
static int cpus[CPUS];

/* The lines go round, so each processor has a part of each class. */
static void *seek(void *number)
{
	int first = *(int *)number;
	cpu_set_t mine;

	CPU_ZERO(&mine);
	CPU_SET(cpus[first], &mine);
	if (sched_setaffinity(0, sizeof(mine), &mine))
		return "a thread cannot be kept on its processor";
	for (int n = first; n < line_count; n += thread_count) {
		for (int times = lines[n].times; times; times--)
			lseek(lines[n].device, lines[n].offset, lines[n].whence);
	}
	return NULL;
}

static int read_plan(const char *path)
{
	static const char *const names[] = { "null", "zero", "full" };
	FILE *plan = fopen(path, "r");
	int devices[3];
	char name[5];

	if (!plan)
		return -1;
	for (int n = 0; n < 3; n++) {
		char device[16];

		snprintf(device, sizeof(device), "/dev/%s", names[n]);
		devices[n] = open(device, O_RDONLY);
		if (devices[n] < 0)
			return -1;
	}
	while (line_count < LINES) {
		struct line *line = &lines[line_count];

		if (fscanf(plan, "%4s %d %lld %d", name, &line->whence, &line->offset, &line->times) != 4)
			break;
		line->device = -1;
		for (int n = 0; n < 3; n++) {
			if (!strcmp(name, names[n]))
				line->device = devices[n];
		}
		line_count++;
	}
	return fclose(plan);
}

int main(int argc, char **argv)
{
	pthread_t threads[CPUS];
	int numbers[CPUS];
	cpu_set_t all;
	void *error;

	if (argc != 2 || read_plan(argv[1]) || sched_getaffinity(0, sizeof(all), &all)) {
		fprintf(stderr, "usage: crowd PLAN\n");
		return 2;
	}
	for (int cpu = 0; cpu < CPU_SETSIZE && thread_count < CPUS; cpu++) {
		if (CPU_ISSET(cpu, &all))
			cpus[thread_count++] = cpu;
	}
	for (int n = 0; n < thread_count; n++) {
		numbers[n] = n;
		if (pthread_create(&threads[n], NULL, seek, &numbers[n]))
			return 1;
	}
	for (int n = 0; n < thread_count; n++) {
		if (pthread_join(threads[n], &error) || error) {
			fprintf(stderr, "crowd: %s\n", error ? (char *)error : "a thread is lost");
			return 1;
		}
	}
	return 0;
}
