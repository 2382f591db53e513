// SPDX-License-Identifier: GPL-3.0-or-later
/* The counters are right. The workers spend their time in waiting for each other. counters.h says what is asked. */
#include <pthread.h>
#include <stdatomic.h>

#include "counters.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct totals totals[KEYS];
static atomic_ulong done[WORKERS];

void hit(unsigned int worker, unsigned int key, unsigned long amount)
{
	pthread_mutex_lock(&mutex);
	totals[key].count++;
	totals[key].weight += weigh(amount);
	pthread_mutex_unlock(&mutex);
	atomic_fetch_add_explicit(&done[worker], 1, memory_order_relaxed);
}

struct totals total(unsigned int key)
{
	struct totals found;

	pthread_mutex_lock(&mutex);
	found = totals[key];
	pthread_mutex_unlock(&mutex);
	return found;
}

unsigned long finished(unsigned int worker)
{
	return atomic_load_explicit(&done[worker], memory_order_relaxed);
}
