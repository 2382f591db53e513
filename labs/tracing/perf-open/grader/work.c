// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * work HZ FAULTS SLEEPS STATUS [STEP...]: touch pages, sleep, do the steps, and say what it really did.
 *
 * A step is OBJECT:FUNCTION:MS, with `self` or a library's file for the object, or `stop` and `go`: they stop
 * the parent and let it go on. Beside all that it is sampled HZ times in each second for itself, because an
 * emulated computer that is not given its time samples less often: so often samples were due.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 200000
#define PAGE 4096

static struct perf_event_mmap_page *own; /* of a ring that nobody ever empties */
static int own_event = -1;

static double used_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void say(const char *when)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	printf("%s: faults %ld switches %ld user %ld system %ld\n", when, used.ru_minflt + used.ru_majflt,
	       used.ru_nvcsw + used.ru_nivcsw, used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec,
	       used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec);
}

static void sample_itself(unsigned long hz)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.freq = 1,
		.sample_freq = hz,
		.sample_type = PERF_SAMPLE_IP,
		.read_format = PERF_FORMAT_LOST,
		.exclude_kernel = 1,
	};

	own_event = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own_event, 0);
	if (own == MAP_FAILED)
		exit(96);
}

/* Samples that lie in the ring, each with a header and an address, and those that found no room. */
static unsigned long due(void)
{
	unsigned long value_lost[2];

	if (read(own_event, value_lost, sizeof(value_lost)) != sizeof(value_lost))
		exit(95);
	return own->data_head / 16 + value_lost[1];
}

static void touch(long pages)
{
	char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		exit(99);
	/* One fault for each page, and no larger ones. */
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	for (long n = 0; n < pages; n++)
		memory[n * PAGE] = 1;
}

static void burn(char *step)
{
	char *object = strtok(step, ":"), *name = strtok(NULL, ":"), *ms = strtok(NULL, ":");
	void *library = dlopen(strcmp(object, "self") ? object : NULL, RTLD_NOW);
	unsigned long (*function)(unsigned long) = library ? dlsym(library, name) : NULL;
	unsigned long before = due();
	double until;

	if (!function || !ms)
		exit(98);
	until = used_ms() + atof(ms);
	while (used_ms() < until)
		function(ROUNDS);
	printf("burnt: %s %s %p %lu\n", object, name, (void *)function, due() - before);
	dlclose(library);
}

int main(int argc, char **argv)
{
	const struct timespec nap = { .tv_nsec = 500000 };

	if (argc < 5)
		return 97;
	sample_itself(atol(argv[1]));
	say("begin");
	touch(atol(argv[2]));
	for (long n = atol(argv[3]); n > 0; n--)
		nanosleep(&nap, NULL);
	for (int n = 5; n < argc; n++) {
		if (!strcmp(argv[n], "stop"))
			kill(getppid(), SIGSTOP);
		else if (!strcmp(argv[n], "go"))
			kill(getppid(), SIGCONT);
		else
			burn(argv[n]);
	}
	printf("due: %lu\n", due());
	say("end");
	return atoi(argv[4]);
}
