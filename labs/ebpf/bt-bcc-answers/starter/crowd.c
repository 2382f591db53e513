// SPDX-License-Identifier: GPL-3.0-or-later
/* What threads of the service do to one another, and whom they bear; and its clocks. Complete. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service.h"

#define CHILDREN 64
/* Milliseconds: who lives as long is no short-lived child; between the two nobody can tell. */
#define SHORT 400
#define LONG 600
/* Microseconds between two births: they are hard work, which is not to keep all others waiting. */
#define PAUSE 20000

static double clock_of(clockid_t id)
{
	struct timespec time;

	clock_gettime(id, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

double now(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

double in_queue(void)
{
	static __thread int fd = -1;
	unsigned long long ran, waited;
	char text[128] = "";

	if (fd < 0)
		fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	if (pread(fd, text, sizeof(text) - 1, 0) < 0 || sscanf(text, "%llu %llu", &ran, &waited) != 2)
		errx(1, "no schedstat");
	return waited / 1e3;
}

void nap(long us)
{
	const struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

static void burn(long us)
{
	double end = clock_of(CLOCK_THREAD_CPUTIME_ID) + us;

	while (clock_of(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

/* late, pushed: a rival on the same processor goes before all others. One thread at a time is in its way. */
static struct {
	pthread_mutex_t one;
	sem_t asked, done;
	long nap, burn;
	int known;
	atomic_int come;
} rival = { .one = PTHREAD_MUTEX_INITIALIZER };

/* The last processor is for the rival and who meets it; all others go elsewhere, if there is an elsewhere. */
static void move_to(bool last)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	for (long cpu = 0; cpu < count; cpu++)
		if (count == 1 || (cpu == count - 1) == last)
			CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
}

void keep_away(void)
{
	move_to(false);
}

static void *be_rival(void *unused)
{
	const struct sched_param first = { .sched_priority = 10 };

	prctl(PR_SET_NAME, "rival");
	move_to(true);
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		err(1, "sched_setscheduler");
	for (;;) {
		while (sem_wait(&rival.asked))
			;
		if (rival.nap)
			nap(rival.nap);
		burn(rival.burn);
		sem_post(&rival.done);
	}
	return unused;
}

void meet_rival(void)
{
	pthread_t thread;

	move_to(true);
	pthread_mutex_lock(&rival.one);
	if (!rival.known++ && (sem_init(&rival.asked, 0, 0) || sem_init(&rival.done, 0, 0) ||
			       pthread_create(&thread, NULL, be_rival, NULL)))
		errx(1, "no rival");
	pthread_mutex_unlock(&rival.one);
}

void face_rival(const struct step *step)
{
	bool late = !strcmp(step->verb, "late");

	rival.come++;
	pthread_mutex_lock(&rival.one);
	/* Until all others sleep here, and the last one has gone: nobody else is to be kept from the processor. */
	for (int n = 0; n < 20 && rival.come < rival.known; n++)
		nap(10000);
	nap(10000);
	for (int n = 0; n < step->times; n++) {
		/* Who naps is woken while the rival is at it; who does not is put off at once. */
		rival.nap = late ? 2000 : 0;
		rival.burn = step->size + rival.nap;
		sem_post(&rival.asked);
		if (late)
			nap(4000);
		while (sem_wait(&rival.done))
			;
		nap(1000);
	}
	pthread_mutex_unlock(&rival.one);
}

/* children, threads: those of a size above SHORT live beside each other. */
void have_children(const struct step *step)
{
	double begun[CHILDREN];
	pid_t children[CHILDREN];
	bool brief = step->size < SHORT;
	int sure = 0, unsure = 0;

	if (step->times > CHILDREN)
		errx(1, "children %ld?", step->times);
	for (int n = 0; n < 2 * step->times; n++) {
		/* Wait for each one before the next is born, or for all when they have been. */
		bool together = !brief, born = together ? n < step->times : n % 2 == 0;
		int child = together ? n % step->times : n / 2;

		if (!born) {
			double ms;

			waitpid(children[child], NULL, 0);
			ms = (now() - begun[child]) / 1000;
			/* Its parent may be late, so what it saw is no lie only on this side. */
			if (brief ? ms < SHORT : ms >= LONG)
				sure++;
			else
				unsure++;
			nap(PAUSE);
			continue;
		}
		begun[child] = now();
		children[child] = fork();
		if (children[child] < 0)
			err(1, "fork");
		if (!children[child]) {
			nap(step->size * 1000);
			_exit(0);
		}
		if (together)
			nap(PAUSE);
	}
	account("children %s %d\nunsure %s %d\n", step->process, brief ? sure : 0, step->process, unsure);
}

static void *nothing(void *unused)
{
	return unused;
}

void have_threads(const struct step *step)
{
	for (int n = 0; n < step->times; n++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, nothing, NULL))
			errx(1, "no thread");
		pthread_join(thread, NULL);
		nap(PAUSE);
	}
}
