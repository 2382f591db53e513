// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Writes each use of memory to the file `trace`: `WHO r|w ADDRESS BYTES`. Complete.
 *
 * With -fsanitize=thread the compiler calls a function before each load and store. Usually the sanitizer has
 * them; here they are these. A lock's functions are in the C library, so they are told of here: each writes it.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "counters.h"

static unsigned int now;
static FILE *out;

static void note(char kind, const volatile void *address, unsigned int bytes)
{
	if (!out)
		out = fopen("trace", "we");
	if (out && now != NOBODY)
		fprintf(out, "%u %c 0x%lx %u\n", now, kind, (uintptr_t)address, bytes);
}

void traced(unsigned int who)
{
	now = who;
}

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void)
{
}

#define PLAIN(bytes) \
	void __tsan_read##bytes(void *address) \
	{ \
		note('r', address, bytes); \
	} \
	void __tsan_write##bytes(void *address) \
	{ \
		note('w', address, bytes); \
	} \
	void __tsan_unaligned_read##bytes(void *address) \
	{ \
		note('r', address, bytes); \
	} \
	void __tsan_unaligned_write##bytes(void *address) \
	{ \
		note('w', address, bytes); \
	}

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *address, unsigned long bytes)
{
	note('r', address, bytes);
}

void __tsan_write_range(void *address, unsigned long bytes)
{
	note('w', address, bytes);
}

#define CHANGES(name, bits, operation) \
	uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *a, uint##bits##_t value, int order) \
	{ \
		(void)order; \
		note('w', a, bits / 8); \
		return operation(a, value, __ATOMIC_SEQ_CST); \
	}

#define ATOMIC(bits) \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *a, int order) \
	{ \
		(void)order; \
		note('r', a, bits / 8); \
		return __atomic_load_n(a, __ATOMIC_SEQ_CST); \
	} \
	void __tsan_atomic##bits##_store(volatile uint##bits##_t *a, uint##bits##_t value, int order) \
	{ \
		(void)order; \
		note('w', a, bits / 8); \
		__atomic_store_n(a, value, __ATOMIC_SEQ_CST); \
	} \
	CHANGES(exchange, bits, __atomic_exchange_n) \
	CHANGES(fetch_add, bits, __atomic_fetch_add) \
	CHANGES(fetch_sub, bits, __atomic_fetch_sub) \
	CHANGES(fetch_and, bits, __atomic_fetch_and) \
	CHANGES(fetch_or, bits, __atomic_fetch_or) \
	CHANGES(fetch_xor, bits, __atomic_fetch_xor) \
	int __tsan_atomic##bits##_compare_exchange_strong(volatile uint##bits##_t *a, uint##bits##_t *expected, \
							  uint##bits##_t value, int order, int failed) \
	{ \
		(void)order; \
		(void)failed; \
		note('w', a, bits / 8); \
		return __atomic_compare_exchange_n(a, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	} \
	int __tsan_atomic##bits##_compare_exchange_weak(volatile uint##bits##_t *a, uint##bits##_t *expected, \
							uint##bits##_t value, int order, int failed) \
	{ \
		return __tsan_atomic##bits##_compare_exchange_strong(a, expected, value, order, failed); \
	}

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

void __tsan_atomic_thread_fence(int order)
{
	(void)order;
}

/* The linker leads calls of NAME to __wrap_NAME (see the Makefile). */
#define LOCK(name, type) \
	int __real_##name(type *lock); \
	int __wrap_##name(type *lock) \
	{ \
		note('w', lock, 4); \
		return __real_##name(lock); \
	}

LOCK(pthread_mutex_lock, pthread_mutex_t)
LOCK(pthread_mutex_unlock, pthread_mutex_t)
LOCK(pthread_mutex_trylock, pthread_mutex_t)
LOCK(pthread_spin_lock, pthread_spinlock_t)
LOCK(pthread_spin_unlock, pthread_spinlock_t)
LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
LOCK(pthread_rwlock_unlock, pthread_rwlock_t)
