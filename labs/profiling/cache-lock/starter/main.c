// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * load HITS SEED [spin]: all workers at once, each with so many hits, while another thread reads. Complete.
 *
 * With `spin` the reader reads without a pause. The traced program has but one thread, which is each worker in
 * turn, and the reader now and then: so its trace is the same each time.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "counters.h"

#define ROUNDS 200
#define READS 64 /* of so many hits, one is followed by a read */

/* In trace.c: who uses memory from now on. NOBODY: it is not noted. */
__attribute__((weak)) void traced(unsigned int who);

static unsigned long hits, torn, reads;
static uint32_t seed;
static atomic_bool over;
static unsigned int spin;

/* The scales are elsewhere: it sleeps until they have answered. */
unsigned long weigh(unsigned long amount)
{
	const struct timespec way = { .tv_nsec = 20000 };

	nanosleep(&way, NULL);
	for (int n = 0; n < ROUNDS; n++) {
		amount = amount * 6364136223846793005UL + 1442695040888963407UL;
		__asm__ volatile("" : "+r"(amount));
	}
	return amount >> 40;
}

static unsigned int next_key(uint32_t *state)
{
	*state = *state * 1103515245 + 12345;
	return (*state >> 16) % KEYS;
}

/* A key always comes with the same amount, so its weight is a multiple of its count. */
static void read_one(unsigned int key)
{
	static unsigned long weights[KEYS];
	struct totals found = total(key);

	if (!weights[key])
		weights[key] = weigh(key + 1);
	reads++;
	torn += found.weight != found.count * weights[key];
}

static void *reader(void *unused)
{
	const struct timespec nap = { .tv_nsec = 2000000 };

	for (unsigned int key = 0; !atomic_load(&over); key = (key + 1) % KEYS) {
		read_one(key);
		if (!spin)
			nanosleep(&nap, NULL);
	}
	return unused;
}

static void *worker(void *data)
{
	unsigned int me = (uintptr_t)data, key;
	uint32_t state = seed + me;

	for (unsigned long n = 0; n < hits; n++) {
		key = next_key(&state);
		hit(me, key, key + 1);
	}
	return NULL;
}

static void one_after_the_other(void)
{
	uint32_t states[WORKERS];
	unsigned int key;

	for (unsigned int me = 0; me < WORKERS; me++)
		states[me] = seed + me;
	for (unsigned long n = 0; n < hits * WORKERS; n++) {
		traced(n % WORKERS);
		key = next_key(&states[n % WORKERS]);
		hit(n % WORKERS, key, key + 1);
		if (n % READS == 0) {
			traced(WORKERS);
			read_one(key);
		}
	}
	traced(NOBODY);
}

static void at_once(void)
{
	pthread_t workers[WORKERS], other;

	pthread_create(&other, NULL, reader, NULL);
	for (uintptr_t me = 0; me < WORKERS; me++)
		pthread_create(&workers[me], NULL, worker, (void *)me);
	for (int me = 0; me < WORKERS; me++)
		pthread_join(workers[me], NULL);
	atomic_store(&over, 1);
	pthread_join(other, NULL);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "load HITS SEED [spin]\n");
		return 1;
	}
	hits = strtoul(argv[1], NULL, 10);
	seed = strtoul(argv[2], NULL, 10);
	spin = argc > 3;
	if (traced)
		one_after_the_other();
	else
		at_once();
	for (unsigned int key = 0; key < KEYS; key++) {
		struct totals found = total(key);

		printf("key %u: %lu %lu\n", key, found.count, found.weight);
	}
	for (unsigned int me = 0; me < WORKERS; me++)
		printf("worker %u: %lu\n", me, finished(me));
	printf("torn: %lu\nreads: %lu\n", torn, reads);
	return 0;
}
