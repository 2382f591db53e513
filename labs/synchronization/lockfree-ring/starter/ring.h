/* SPDX-License-Identifier: GPL-2.0-only */
/* What ring offers to other modules: a queue with many producers and one consumer, without a lock. */
#ifndef RING_H
#define RING_H

#include <linux/types.h>

#define RING_SIZE 64 /* a power of two */

/* Any thread or interrupt, any number at once: 0, or -ENOSPC when the ring is full. */
int ring_push(u64 value);

/* One consumer: 0, or -EAGAIN when there is nothing, or nothing whole, at the end of the ring. */
int ring_pop(u64 *value);

/* From anywhere, at any time: how many there are, 0 to RING_SIZE; a moment later it may be wrong. */
unsigned long ring_length(void);

#endif
