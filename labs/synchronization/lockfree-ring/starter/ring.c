// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring: a queue with many producers and one consumer.
 *
 * Each slot has a number that says whose turn it is. At position p, where positions count up for
 * ever, a slot with the number p is free for the producer of p; one with p + 1 holds p's value, for
 * the consumer; and the consumer makes it p + RING_SIZE, free for the next round.
 *
 * The idea is right, and one producer on x86 may never notice what is missing.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "ring.h"

struct slot {
	unsigned long number;
	u64 value;
};

static struct slot ring[RING_SIZE];
static unsigned long head; /* the next position to push at; of all producers */
static unsigned long tail; /* the next position to pop from; the consumer's, and read by ring_length() */

int ring_push(u64 value)
{
	/* TODO: two producers read the same head. */
	unsigned long position = head;
	struct slot *slot = &ring[position % RING_SIZE];

	/* TODO: not free can mean full, and can mean that another one was faster. */
	if (slot->number != position)
		return -ENOSPC;
	head = position + 1;

	slot->value = value;
	/* TODO: whoever sees the number must see the value. */
	slot->number = position + 1;
	return 0;
}
EXPORT_SYMBOL_GPL(ring_push);

int ring_pop(u64 *value)
{
	struct slot *slot = &ring[tail % RING_SIZE];

	/* TODO: what must not be read before this? */
	if (slot->number != tail + 1)
		return -EAGAIN;
	*value = slot->value;
	/* TODO: and what not after this? */
	slot->number = tail + RING_SIZE;
	tail++;
	return 0;
}
EXPORT_SYMBOL_GPL(ring_pop);

unsigned long ring_length(void)
{
	/* TODO: both change meanwhile; which one is read first, so that the difference is never below 0? */
	return head - tail;
}
EXPORT_SYMBOL_GPL(ring_length);

static int __init ring_init(void)
{
	unsigned long n;

	for (n = 0; n < RING_SIZE; n++)
		ring[n].number = n;
	return 0;
}

static void __exit ring_exit(void)
{
}

module_init(ring_init);
module_exit(ring_exit);
MODULE_DESCRIPTION("klab: a ring without a lock");
MODULE_LICENSE("GPL");
