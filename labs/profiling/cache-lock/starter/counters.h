/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the service counts: for each key how often it came, and what that weighs. Yours is counters.c. */
#ifndef COUNTERS_H
#define COUNTERS_H

#define WORKERS 4
#define KEYS 16
#define LINE 64 /* bytes of a cache line */
#define NOBODY (~0u)

struct totals {
	unsigned long count, weight;
};

/*
 * Key `key` has come, with `amount`: it weighs weigh(amount). Each worker calls with its own number, from 0 to
 * WORKERS - 1, and all of them call at the same time.
 */
void hit(unsigned int worker, unsigned int key, unsigned long amount);

/*
 * All that has come of a key. Count and weight belong together: what is in the one is in the other. Anybody may
 * call at any time.
 */
struct totals total(unsigned int key);

/* How many hits a worker has finished. Anybody may call at any time. */
unsigned long finished(unsigned int worker);

/* Given, in main.c: depends on nothing but its argument, and takes its time, most of which it sleeps. */
unsigned long weigh(unsigned long amount);

#endif
