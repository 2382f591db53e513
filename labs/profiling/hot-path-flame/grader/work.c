// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * work LOG MS CALLS: spends MS of processor time in ways that it knows, and makes CALLS system calls more.
 *
 * To LOG it appends how long it took, the system calls that it has counted, the time that each way has got, and
 * the name of its parent. OUTER, OTHER, SPIN, FILL and THREAD are names that the grader draws.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 6
/* In a function that wants to know where its frame is gcc keeps the frame pointer, also when it calls nobody. */
#define STAY __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

enum { OUTER_SPIN, OTHER_SPIN, OUTER_FILL, THREAD_SPIN, WAYS };

static double got[WAYS], each_ms;
static unsigned long parts[WAYS] = { PARTS };
static char buffer[1 << 16];
static unsigned long calls;
static int zero;

/* Without the C library: it keeps no frame pointer, and a frame would be missing. */
static inline long call(long number, long a, long b, long c)
{
	long result;

	__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
	__asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

/* The clock of a processor is for the kernel to read, that of the day often is not. */
static double clock_ms(clockid_t id)
{
	struct timespec now;

	call(SYS_clock_gettime, id, (long)&now, 0);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

__attribute__((noinline)) void SPIN(void)
{
	unsigned long value = 1;

	for (int n = 0; n < 50000; n++) {
		value = value * 6364136223846793005UL + 1;
		__asm__ volatile("" : "+r"(value));
	}
	STAY;
}

__attribute__((noinline)) void FILL(void)
{
	call(SYS_read, zero, (long)buffer, sizeof(buffer));
	STAY;
}

/* A way is gone until it has had its part of a round. */
#define GO(way, step) \
	do { \
		double begin = clock_ms(CLOCK_THREAD_CPUTIME_ID), now = begin; \
		while (now < begin + each_ms * parts[way]) { \
			step(); \
			now = clock_ms(CLOCK_THREAD_CPUTIME_ID); \
		} \
		got[way] += now - begin; \
	} while (0)

__attribute__((noinline)) void OUTER(void)
{
	GO(OUTER_SPIN, SPIN);
	GO(OUTER_FILL, FILL);
	STAY;
}

__attribute__((noinline)) void OTHER(void)
{
	GO(OTHER_SPIN, SPIN);
	STAY;
}

static void *thread(void *unused)
{
	prctl(PR_SET_NAME, THREAD);
	for (int n = 0; n < ROUNDS; n++)
		GO(THREAD_SPIN, SPIN);
	return unused;
}

int main(int argc, char **argv)
{
	double begin = clock_ms(CLOCK_MONOTONIC);
	char parent[64] = "", path[64];
	pthread_t other;
	cpu_set_t set;
	FILE *log;

	if (argc != 4)
		return 97;
	/* An emulated processor that is not given its time skips samples: so it is the same one for all. */
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
	each_ms = atof(argv[2]) / ROUNDS / 100;
	zero = open("/dev/zero", O_RDONLY);
	for (long n = 0; n < atol(argv[3]); n++)
		call(SYS_getppid, 0, 0, 0);
	if (each_ms > 0) {
		pthread_create(&other, NULL, thread, NULL);
		for (int n = 0; n < ROUNDS; n++) {
			OUTER();
			OTHER();
		}
		pthread_join(other, NULL);
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", getppid());
	log = fopen(path, "re");
	if (!log || !fgets(parent, sizeof(parent), log))
		return 98;
	fclose(log);
	begin = clock_ms(CLOCK_MONOTONIC) - begin;
	fprintf(stderr, "took: %.0f us\n", begin * 1e3);
	log = fopen(argv[1], "ae");
	fprintf(log, "%.0f %lu", begin * 1e3, calls);
	for (int n = 0; n < WAYS; n++)
		fprintf(log, " %.1f", got[n]);
	fprintf(log, " %s", parent);
	return fclose(log);
}
