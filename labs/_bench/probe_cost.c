// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What does a probe cost? Runs a loop of a cheap system call, in turn without a probe and with each of the
 * programs, and compares the medians. The fastest batch tells what a quiet computer would show. Batches are short, so that most of them are over before somebody else
 * has the processor; there are many for each time that a program is attached, since that costs as much as
 * thousands of calls.
 *
 * Nothing is pinned: whatever ends this process, and however, detaches its programs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "probe_cost.skel.h"

#define PROBES 16
#define RINGS 8
#define DEVICES 3
#define BATCHES 40 /* of a round */
#define CALLS 250 /* of a batch, unless -n says another number */
#define MOST 2000 /* calls of a batch: after it rings are emptied, so they need room for no more records */

struct probe {
	char name[128];
	struct bpf_program *program; /* NULL: the loop alone */
	struct ring_buffer *rings[RINGS];
	int ring_count;
	uint64_t calls, runs, misses; /* of the batch that is counted, as the kernel has seen it */
	uint64_t all_calls, records;
	double *ns;
	double median, least;
};

static struct probe probes[PROBES] = { { .name = "none" } };
static int probe_count = 1;
static int devices[DEVICES];
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = signal;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list words)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, words) : 0;
}

static int fail(const char *what)
{
	fprintf(stderr, "probe_cost: %s: %s\n", what, strerror(errno));
	return -1;
}

static int record(void *probe, void *data, size_t size)
{
	(void)data;
	(void)size;
	((struct probe *)probe)->records++;
	return 0;
}

static struct probe *add(const char *name, struct bpf_program *program)
{
	struct probe *probe = &probes[probe_count++];

	snprintf(probe->name, sizeof(probe->name), "%s", name);
	probe->program = program;
	return probe;
}

static int add_ring(struct probe *probe, const struct bpf_map *map)
{
	if (bpf_map__type(map) != BPF_MAP_TYPE_RINGBUF)
		return 0;
	if (probe->ring_count == RINGS) {
		errno = E2BIG;
		return fail("ring buffers");
	}
	probe->rings[probe->ring_count] = ring_buffer__new(bpf_map__fd(map), record, probe, NULL);
	return probe->rings[probe->ring_count++] ? 0 : fail("ring buffer");
}

/* A program of somebody's own; the others of its object are left alone. */
static struct bpf_object *add_object(const char *path, const char *wanted)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program, *found;
	const char *base = strrchr(path, '/');
	struct bpf_map *map;
	struct probe *probe;
	char name[128];

	if (!object)
		return NULL;
	found = bpf_object__find_program_by_name(object, wanted);
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, program == found);
	if (!found) {
		errno = ENOENT;
		fail(wanted);
		goto out;
	}
	if (bpf_object__load(object))
		goto out;
	snprintf(name, sizeof(name), "%s:%s", base ? base + 1 : path, wanted);
	probe = add(name, found);
	bpf_object__for_each_map(map, object) {
		if (add_ring(probe, map))
			goto out;
	}
	return object;
out:
	bpf_object__close(object);
	return NULL;
}

static void seek(unsigned int calls)
{
	/* The same calls for everybody: three devices, three kinds, small and large offsets. */
	for (unsigned int n = 0; n < calls; n++)
		lseek(devices[n % DEVICES], (uint64_t)(n * 2654435761U) << n % 8, n / DEVICES % 3);
}

static double batch(struct probe *probe, unsigned int calls)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	seek(calls);
	clock_gettime(CLOCK_MONOTONIC, &to);
	for (int n = 0; n < probe->ring_count; n++)
		ring_buffer__consume(probe->rings[n]);
	probe->all_calls += calls;
	return ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / calls;
}

static int count(struct probe *probe, struct bpf_prog_info *info)
{
	uint32_t size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_prog_get_info_by_fd(bpf_program__fd(probe->program), info, &size);
}

/* The kernel counts runs only when asked, and that costs: so this is a batch of its own. */
static int counting(struct probe *probe, unsigned int calls)
{
	struct bpf_prog_info before, after;
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME), error;

	if (stats < 0)
		return fail("BPF statistics");
	error = count(probe, &before);
	batch(probe, calls);
	error = error ?: count(probe, &after);
	close(stats);
	if (error)
		return fail("the program's statistics");
	probe->calls = calls;
	probe->runs = after.run_cnt - before.run_cnt;
	probe->misses = after.recursion_misses - before.recursion_misses;
	return 0;
}

/* One round with this probe. */
static int measure(struct probe *probe, int round, unsigned int calls)
{
	struct bpf_link *link = NULL;
	int error = 0;

	if (probe->program) {
		link = bpf_program__attach(probe->program);
		if (!link)
			return fail(probe->name);
	}
	batch(probe, calls); /* the kernel's code has changed just now, so nobody times this one */
	if (link && !round)
		error = counting(probe, calls);
	for (int n = 0; n < BATCHES && !stopped && !error; n++)
		probe->ns[round * BATCHES + n] = batch(probe, calls);
	if (bpf_link__destroy(link))
		return fail("detach");
	return error;
}

static int ascending(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static int medians(int count)
{
	double *sorted = malloc(count * sizeof(*sorted));

	if (!sorted)
		return fail("memory");
	for (struct probe *probe = probes; probe < probes + probe_count; probe++) {
		memcpy(sorted, probe->ns, count * sizeof(*sorted));
		qsort(sorted, count, sizeof(*sorted), ascending);
		probe->least = sorted[0];
		probe->median = (sorted[count / 2] + sorted[(count - 1) / 2]) / 2;
	}
	free(sorted);
	return 0;
}

static void table(void)
{
	printf("%-24s %12s %12s %8s %12s\n", "program", "events/s", "ns/event", "ratio", "least ns");
	for (struct probe *probe = probes; probe < probes + probe_count; probe++)
		printf("%-24s %12.0f %12.1f %8.2f %12.1f\n", probe->name, 1e9 / probe->median, probe->median,
		       probe->median / probes->median, probe->least);
}

/* Names are those of files and of functions in C; of the signs that JSON minds only files may have some. */
static void json(int count, uint64_t counted, uint64_t dropped)
{
	printf("{\"counted\": %llu, \"dropped\": %llu, \"programs\": [", (unsigned long long)counted,
	       (unsigned long long)dropped);
	for (struct probe *probe = probes; probe < probes + probe_count; probe++) {
		printf("%s\n{\"name\": \"", probe == probes ? "" : ",");
		for (const char *sign = probe->name; *sign; sign++)
			putchar(*sign == '"' || *sign == '\\' || (unsigned char)*sign < ' ' ? '?' : *sign);
		printf("\", \"events_per_s\": %.0f, \"ns\": %.1f, \"ratio\": %.3f, \"least\": %.1f, \"calls\": %llu, "
		       "\"runs\": %llu, \"misses\": %llu, \"all_calls\": %llu, \"records\": %llu, \"batches\": [",
		       1e9 / probe->median, probe->median, probe->median / probes->median,
		       probe->least, (unsigned long long)probe->calls, (unsigned long long)probe->runs,
		       (unsigned long long)probe->misses, (unsigned long long)probe->all_calls,
		       (unsigned long long)probe->records);
		for (int n = 0; n < count; n++)
			printf("%s%.1f", n ? ", " : "", probe->ns[n]);
		printf("]}");
	}
	printf("\n]}\n");
}

static int run(int rounds, unsigned int calls)
{
	for (struct probe *probe = probes; probe < probes + probe_count; probe++) {
		probe->ns = calloc(rounds * BATCHES, sizeof(*probe->ns));
		if (!probe->ns)
			return fail("memory");
	}
	for (int round = 0; round < rounds; round++) {
		for (struct probe *probe = probes; probe < probes + probe_count; probe++) {
			if (measure(probe, round, calls) || stopped)
				return -1;
		}
	}
	return medians(rounds * BATCHES);
}

static uint64_t sum(const struct bpf_map *map)
{
	int cpus = libbpf_num_possible_cpus();
	uint32_t zero = 0;
	uint64_t total = 0, *values = cpus > 0 ? calloc(cpus, sizeof(*values)) : NULL;

	if (values && !bpf_map_lookup_elem(bpf_map__fd(map), &zero, values)) {
		for (int cpu = 0; cpu < cpus; cpu++)
			total += values[cpu];
	}
	free(values);
	return total;
}

static int ready(void)
{
	static const char *const paths[DEVICES] = { "/dev/null", "/dev/zero", "/dev/full" };
	struct sigaction action = { .sa_handler = stop };
	cpu_set_t here;

	for (int n = 0; n < DEVICES; n++) {
		devices[n] = open(paths[n], O_RDONLY | O_CLOEXEC);
		if (devices[n] < 0)
			return fail(paths[n]);
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	return sched_setaffinity(0, sizeof(here), &here) ? fail("stay on a processor") : 0;
}

static int usage(void)
{
	fputs("usage: probe_cost [--json] [-r ROUNDS] [-n CALLS] [-o OBJECT -p PROGRAM]...\n"
	      "ROUNDS (5) times 40 batches of CALLS (250, at most 2000) for each program. PROGRAM of OBJECT is\n"
	      "for fentry/null_lseek; what comes into its ring buffers is taken out after each batch.\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	struct bpf_object *objects[PROBES] = { NULL };
	unsigned int calls = CALLS;
	int rounds = 5, object_count = 0, error = 1, option;
	const char *path = NULL;
	bool as_json = false;
	struct probe_cost *ours;

	libbpf_set_print(quiet);
	ours = probe_cost__open_and_load();
	if (!ours || ready())
		goto out;
	add("empty", ours->progs.empty);
	add("map", ours->progs.map);
	if (add_ring(add("ring", ours->progs.ring), ours->maps.records))
		goto out;
	while ((option = getopt_long(argc, argv, "r:n:o:p:", options, NULL)) != -1) {
		if (option == 'j')
			as_json = true;
		else if (option == 'r')
			rounds = atoi(optarg);
		else if (option == 'n')
			calls = atoi(optarg);
		else if (option == 'o')
			path = optarg;
		else if (option != 'p' || !path || probe_count == PROBES) {
			error = usage();
			goto out;
		} else if (!(objects[object_count++] = add_object(path, optarg)))
			goto out;
	}
	if (optind < argc || rounds < 1 || calls < 1 || calls > MOST) {
		error = usage();
		goto out;
	}
	if (!run(rounds, calls)) {
		error = 0;
		if (as_json)
			json(rounds * BATCHES, sum(ours->maps.counts), ours->bss->dropped);
		else
			table();
	}
out:
	for (struct probe *probe = probes; probe < probes + probe_count; probe++) {
		for (int n = 0; n < probe->ring_count; n++)
			ring_buffer__free(probe->rings[n]);
		free(probe->ns);
	}
	for (int n = 0; n < object_count; n++)
		bpf_object__close(objects[n]);
	probe_cost__destroy(ours);
	return stopped ? 128 + stopped : error;
}
