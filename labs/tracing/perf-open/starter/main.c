// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * meter [-f HZ] [-p PAGES] [-o FILE] PROGRAM [ARGUMENT...]: run a program, count and sample it, and report.
 *
 * Complete. Exit status: the program's, or 128 + the signal that ended it; 1 when it cannot be measured.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perf.h"

#define PLACES 8192
#define LOOK_MS 50 /* the ring is emptied at least that often */

static struct place {
	char path[256];
	uint64_t offset;
	unsigned int hits;
} places[PLACES];
static unsigned int samples, used;

void hit(const char *path, uint64_t offset)
{
	struct place *place;

	samples++;
	path = path ? path : "?";
	for (place = places; place < places + used; place++) {
		if (place->offset == offset && !strcmp(place->path, path))
			break;
	}
	if (place == places + PLACES)
		return;
	if (place == places + used) {
		snprintf(place->path, sizeof(place->path), "%s", path);
		place->offset = offset;
		used++;
	}
	place->hits++;
}

static void die(const char *what)
{
	fprintf(stderr, "meter: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A child that executes the program as soon as a byte comes through `go`. */
static pid_t start(char **argv, int go[2])
{
	char byte;
	pid_t pid;

	if (pipe(go))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	close(go[1]);
	if (read(go[0], &byte, 1) != 1)
		_exit(1); /* it cannot be measured, so it does not run */
	close(go[0]);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

static void report(FILE *out, bool hardware, const struct counts *counts)
{
	const struct place *place;

	fprintf(out, "pmu: %s\n", hardware ? "yes" : "no, so there are no cycles, and samples come by the clock");
	fprintf(out, "task-clock: %" PRIu64 "\n", counts->value[TASK_CLOCK]);
	fprintf(out, "page-faults: %" PRIu64 "\n", counts->value[PAGE_FAULTS]);
	fprintf(out, "context-switches: %" PRIu64 "\n", counts->value[CONTEXT_SWITCHES]);
	fprintf(out, "enabled: %" PRIu64 "\nrunning: %" PRIu64 "\n", counts->enabled, counts->running);
	if (hardware && counts->value[CYCLES])
		fprintf(out, "ipc: %.2f\n", (double)counts->value[INSTRUCTIONS] / counts->value[CYCLES]);
	fprintf(out, "samples: %u\nlost: %" PRIu64 "\n", samples, sample_lost());
	for (place = places; place < places + used; place++)
		fprintf(out, "at: %u 0x%" PRIx64 " %s\n", place->hits, place->offset, place->path);
}

int main(int argc, char **argv)
{
	unsigned int hz = 1000, pages = 8;
	struct pollfd ring = { .events = POLLIN };
	struct counts counts = { 0 };
	FILE *out = stderr;
	int option, status, go[2];
	bool hardware;
	pid_t pid;

	while ((option = getopt(argc, argv, "+f:p:o:")) != -1) {
		if (option == 'f')
			hz = atoi(optarg);
		else if (option == 'p')
			pages = atoi(optarg);
		else if (option != 'o' || !(out = fopen(optarg, "we")))
			die("meter [-f HZ] [-p PAGES] [-o FILE] PROGRAM [ARGUMENT...]");
	}
	if (optind == argc)
		die("which program?");
	hardware = pmu();
	pid = start(argv + optind, go);
	if (count_open(pid, hardware))
		die("count_open");
	ring.fd = sample_open(pid, hz, pages, hardware);
	if (ring.fd < 0)
		die("sample_open");
	close(go[0]);
	if (write(go[1], "", 1) != 1)
		die("write");
	close(go[1]);
	while (!waitpid(pid, &status, WNOHANG)) {
		poll(&ring, 1, LOOK_MS);
		/* Once the process has gone, its ring stays readable: wait for the process, not for the ring. */
		if (ring.revents & POLLHUP)
			ring.fd = -1;
		sample_drain();
	}
	sample_drain();
	if (count_read(&counts))
		die("count_read");
	report(out, hardware, &counts);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
