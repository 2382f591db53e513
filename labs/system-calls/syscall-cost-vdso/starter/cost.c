// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What entering the kernel costs.
 *
 * cost symbols            exported functions of the vDSO, "NAME OFFSET" (hexadecimal, no 0x)
 * cost calls KIND COUNT   do COUNT calls of KIND, and no other calls than a program needs
 * cost measure ROUNDS     for each kind "KIND MEDIAN LOW HIGH", nanoseconds per call
 * cost summary            the same of numbers from standard input: "MEDIAN LOW HIGH"
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PER_SAMPLE 2000 /* calls between two looks at the clock */
#define SAMPLES_MAX 10000

typedef int clock_function(clockid_t, struct timespec *);
typedef void visitor(const char *name, const void *address, unsigned long offset);

/* TODO: call `visit` for each function that the vDSO exports. -1 when the process has none. */
static int vdso_each(visitor *visit)
{
	(void)visit;
	return -1;
}

static clock_function *vdso_clock; /* TODO: __vdso_clock_gettime; NULL: there is none */
static int zero; /* /dev/zero */

/* A call that the compiler keeps, although it does nothing. */
static void __attribute__((noinline)) empty(void)
{
	__asm__ volatile("" : : : "memory");
}

static void call_empty(void)
{
	empty();
}

static void call_vdso(void)
{
	/* TODO: CLOCK_MONOTONIC by the vDSO; without one by the system call. */
}

static void call_syscall(void)
{
	/* TODO: CLOCK_MONOTONIC by the system call, always. */
}

static void call_getppid(void)
{
	/* TODO */
}

static void call_read(void)
{
	/* TODO: one byte of /dev/zero. */
}

static const struct kind {
	const char *name;
	void (*call)(void);
} kinds[] = {
	{ "empty", call_empty },     { "vdso", call_vdso }, { "syscall", call_syscall },
	{ "getppid", call_getppid }, { "read", call_read },
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

/*
 * TODO: sort, and print the median and the 95 % interval of the median: the samples of the
 * ranks (n - 1.96 sqrt(n)) / 2, rounded down, and 1 + (n + 1.96 sqrt(n)) / 2, rounded up,
 * counted from 1 and kept within 1 and n. The median of an even number is the mean of two.
 */
static void summary(double *samples, int n)
{
	(void)samples;
	(void)n;
	printf("0 0 0\n");
}

/* TODO: nanoseconds for one call of a kind, of PER_SAMPLE in a row. */
static double sample(const struct kind *kind)
{
	(void)kind;
	return 0;
}

static void print_symbol(const char *name, const void *address, unsigned long offset)
{
	(void)address;
	printf("%s %lx\n", name, offset);
}

static int calls(const char *name, long count)
{
	for (size_t k = 0; k < KINDS; k++)
		if (!strcmp(kinds[k].name, name)) {
			while (count-- > 0)
				kinds[k].call();
			return 0;
		}
	fprintf(stderr, "cost: no kind %s\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	static double samples[SAMPLES_MAX];
	const char *what = argc > 1 ? argv[1] : "";
	int n = 0;

	zero = open("/dev/zero", O_RDONLY);
	if (!strcmp(what, "symbols")) {
		if (vdso_each(print_symbol)) {
			fprintf(stderr, "cost: there is no vDSO\n");
			return 1;
		}
	} else if (!strcmp(what, "calls") && argc == 4) {
		return calls(argv[2], atol(argv[3]));
	} else if (!strcmp(what, "measure") && argc == 3) {
		int rounds = atoi(argv[2]);

		for (size_t k = 0; k < KINDS; k++) {
			for (n = 0; n < rounds && n < SAMPLES_MAX; n++)
				samples[n] = sample(&kinds[k]);
			printf("%s ", kinds[k].name);
			summary(samples, n);
		}
	} else if (!strcmp(what, "summary")) {
		while (n < SAMPLES_MAX && scanf("%lf", &samples[n]) == 1)
			n++;
		if (n)
			summary(samples, n);
	} else {
		fprintf(stderr, "usage: cost symbols | calls KIND COUNT | measure ROUNDS | summary\n");
		return 2;
	}
	return 0;
}
