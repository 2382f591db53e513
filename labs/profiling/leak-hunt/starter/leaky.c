// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * leaky: a process that allocates in many ways, of which one leaks. Complete: something for hunt.py to watch.
 *
 * It serves requests of its own making until it is killed, or has lost much. All memory comes from GET(), and
 * which calls lead to the leak is told by what LEAK is, and by whom its function is called. The check has this
 * program, too, with other names, another leak, and other sizes.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef GET
#define GET take
#define PARSE parse
#define REPLY reply
#define LOOKUP lookup
#define READER on_read
#define WRITER on_write
#define LEAK 1 /* 0: in PARSE, 1: in REPLY, 2: in LOOKUP */
#define IN_WRITER 1 /* where WRITER has called it, else where READER has */
#define SIZE 120
#define EACH 3 /* of so many requests two lose a block */
#define ZEROED 0
#endif

#define CACHE 24
#define BATCH 12
#define REAPED 16
#define MOST 200000

static unsigned long requests;
static bool writing;

/* Nobody may guess by the function that calls malloc: all do it through this one. */
__attribute__((noipa)) void *GET(size_t size)
{
	void *memory = ZEROED ? calloc(1, size) : malloc(size);

	if (!memory)
		abort();
	memset(memory, 1, size);
	return memory;
}

/* Whether this request is one that loses a block in this function. */
static bool lost(int where)
{
	return where == LEAK && writing == IN_WRITER && requests % EACH < 2;
}

__attribute__((noipa)) void PARSE(void)
{
	void *block = GET(SIZE);

	if (!lost(0))
		free(block);
}

__attribute__((noipa)) void REPLY(void)
{
	void *block = GET(SIZE);

	if (!lost(1))
		free(block);
}

__attribute__((noipa)) void LOOKUP(void)
{
	void *block = GET(SIZE);

	if (!lost(2))
		free(block);
}

/* Full soon, and then the oldest goes whenever a new one comes. */
__attribute__((noipa)) void cache(void)
{
	static void *entries[CACHE];
	static unsigned int next;

	free(entries[next]);
	entries[next] = GET(2000);
	next = (next + 1) % CACHE;
}

/* Many that are given back at once. */
__attribute__((noipa)) void batch(void)
{
	static void *blocks[BATCH];
	static unsigned int used;

	blocks[used++] = GET(300);
	while (used == BATCH) {
		for (unsigned int n = 0; n < BATCH; n++)
			free(blocks[n]);
		used = 0;
	}
}

/* A buffer that grows, and has to move for that. */
__attribute__((noipa)) void grow(void)
{
	char *buffer = GET(40), *behind = GET(40);

	buffer = realloc(buffer, 400);
	buffer = realloc(buffer, 4000);
	free(behind);
	free(buffer);
}

/* One large block, which is replaced now and then. */
__attribute__((noipa)) void rebuild(void)
{
	static void *table;
	void *newer = GET(400000);

	free(table);
	table = newer;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void *reaped[REAPED];

/* Blocks that another thread frees. */
__attribute__((noipa)) void hand_over(void)
{
	void *block = GET(700), *old;

	pthread_mutex_lock(&mutex);
	old = reaped[requests % REAPED];
	reaped[requests % REAPED] = block;
	pthread_mutex_unlock(&mutex);
	free(old);
}

static void *reaper(void *unused)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (;;) {
		nanosleep(&nap, NULL);
		pthread_mutex_lock(&mutex);
		for (int n = 0; n < REAPED; n++) {
			free(reaped[n]);
			reaped[n] = NULL;
		}
		pthread_mutex_unlock(&mutex);
	}
	return unused;
}

__attribute__((noipa)) void READER(void)
{
	writing = false;
	PARSE();
	LOOKUP();
	REPLY();
	cache();
}

__attribute__((noipa)) void WRITER(void)
{
	writing = true;
	PARSE();
	LOOKUP();
	REPLY();
	grow();
}

int main(void)
{
	const struct timespec nap = { .tv_nsec = 2000000 };
	pthread_t thread;

	pthread_create(&thread, NULL, reaper, NULL);
	for (; requests < MOST; requests++) {
		READER();
		WRITER();
		batch();
		hand_over();
		if (requests % 100 == 0)
			rebuild();
		nanosleep(&nap, NULL);
	}
	return 0;
}
