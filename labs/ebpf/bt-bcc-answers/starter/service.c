// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * service PLAN: processes with threads that do what PLAN says (plan.py draws one). Complete.
 *
 * It says `waits` when all are there. A line of standard input lets the day begin, it says `done` at its end,
 * and after another line it tells what was done, by its own account. Nobody looks at a clock to wait for the
 * others: that is done by futex(2).
 */
#define _GNU_SOURCE
#include <err.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service.h"

#define STEPS 128
#define ACCOUNT (16 << 10)

enum { BEGINS = 1, TELLS };

/* What all processes see. */
static struct {
	atomic_uint phase, set, done;
} *day;

static struct step steps[STEPS];
static int known;
static char told[ACCOUNT];
static size_t length;
static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;

static void raise_to(atomic_uint *word, unsigned int value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void raise_by_one(atomic_uint *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void until(atomic_uint *word, unsigned int least)
{
	unsigned int value;

	while ((value = atomic_load(word)) < least)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

void account(const char *format, ...)
{
	va_list words;

	pthread_mutex_lock(&telling);
	va_start(words, format);
	length += vsnprintf(told + length, sizeof(told) - length, format, words);
	va_end(words);
	if (length >= sizeof(told))
		errx(1, "there is too much to tell");
	pthread_mutex_unlock(&telling);
}

static int is_of(const struct step *step, const struct step *first)
{
	return !strcmp(step->process, first->process) && !strcmp(step->thread, first->thread);
}

/* A thread: the steps that bear its name, in their order. */
static void *work(void *first)
{
	const struct step *own = first;
	double queued;

	prctl(PR_SET_NAME, own->thread);
	for (int n = 0; n < known; n++)
		if (is_of(&steps[n], own))
			prepare(&steps[n]);
	raise_by_one(&day->set);
	/* Until here nobody watches. */
	queued = in_queue();
	until(&day->phase, BEGINS);
	for (int n = 0; n < known; n++)
		if (is_of(&steps[n], own))
			perform(&steps[n]);
	account("queued %d %.0f\n", gettid(), in_queue() - queued);
	return NULL;
}

/* The first step of a process, or of a thread in it. */
static int is_first(int number, int of_thread)
{
	for (int n = 0; n < number; n++)
		if (of_thread ? is_of(&steps[n], &steps[number]) : !strcmp(steps[n].process, steps[number].process))
			return 0;
	return 1;
}

static void process(const char *name)
{
	pthread_t threads[STEPS];
	int count = 0;

	prctl(PR_SET_NAME, name);
	for (int n = 0; n < known; n++)
		if (!strcmp(steps[n].process, name) && is_first(n, 1) &&
		    pthread_create(&threads[count++], NULL, work, &steps[n]))
			errx(1, "no thread");
	while (count)
		pthread_join(threads[--count], NULL);
	raise_by_one(&day->done);
	until(&day->phase, TELLS);
	for (int n = 0; n < known; n++)
		clear_up(&steps[n]);
	if (write(STDOUT_FILENO, told, length) != (ssize_t)length)
		_exit(1);
	_exit(0);
}

static void read_plan(const char *name)
{
	FILE *plan = fopen(name, "re");
	struct step *step = steps;

	if (!plan)
		err(1, "%s", name);
	while (known < STEPS && fscanf(plan, "%15s %15s %15s %63s %ld %ld", step->process, step->thread, step->verb,
				       step->what, &step->size, &step->times) == 6)
		step = &steps[++known];
	if (!known || !feof(plan))
		errx(1, "%s: line %d is no step", name, known + 1);
	fclose(plan);
}

int main(int argc, char **argv)
{
	unsigned int processes = 0, threads = 0;
	char line[8];

	if (argc < 2)
		errx(1, "service PLAN");
	read_plan(argv[1]);
	day = mmap(NULL, sizeof(*day), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (day == MAP_FAILED)
		err(1, "mmap");
	for (int n = 0; n < known; n++) {
		threads += is_first(n, 1);
		if (!is_first(n, 0))
			continue;
		processes++;
		switch (fork()) {
		case 0:
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			process(steps[n].process);
			break;
		case -1:
			err(1, "fork");
		}
	}
	until(&day->set, threads);
	puts("waits");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	raise_to(&day->phase, BEGINS);
	until(&day->done, processes);
	puts("done");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	raise_to(&day->phase, TELLS);
	while (wait(NULL) > 0)
		;
	return 0;
}
