// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring whose producer lets the value come after the number, or whose consumer hands a slot back before it
 * has read the value: the grader looks how long KCSAN takes to see either, and looks at the student's ring
 * for longer.
 */
#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/init.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "ring.h"

static bool early;
module_param(early, bool, 0444);
MODULE_PARM_DESC(early, "the consumer is at fault, else the producer");

struct slot {
	unsigned long number;
	u64 value;
};

static struct slot ring[RING_SIZE];
static unsigned long head; /* the next position to push at; of all producers */
static unsigned long tail; /* the next position to pop from; the consumer's, and read by ring_length() */

int ring_push(u64 value)
{
	unsigned long position = READ_ONCE(head);
	struct slot *slot;
	long ahead;

	for (;;) {
		slot = &ring[position % RING_SIZE];
		/* With the consumer's release: it has read the value of the round before. */
		ahead = smp_load_acquire(&slot->number) - position;
		if (ahead < 0)
			return -ENOSPC;
		if (ahead > 0)
			position = READ_ONCE(head); /* another one was faster */
		else if (try_cmpxchg(&head, &position, position + 1))
			break;
	}
	slot->value = value;
	if (early)
		smp_store_release(&slot->number, position + 1);
	else
		WRITE_ONCE(slot->number, position + 1);
	return 0;
}
EXPORT_SYMBOL_GPL(ring_push);

int ring_pop(u64 *value)
{
	struct slot *slot = &ring[tail % RING_SIZE];

	if (smp_load_acquire(&slot->number) != tail + 1)
		return -EAGAIN;
	*value = slot->value;
	if (early)
		WRITE_ONCE(slot->number, tail + RING_SIZE);
	else
		smp_store_release(&slot->number, tail + RING_SIZE);
	WRITE_ONCE(tail, tail + 1); /* nobody else writes it, but ring_length() reads it */
	return 0;
}
EXPORT_SYMBOL_GPL(ring_pop);

unsigned long ring_length(void)
{
	/* The head of a later time is no smaller; what was popped meanwhile makes it look longer. */
	unsigned long from = smp_load_acquire(&tail);

	return min(READ_ONCE(head) - from, (unsigned long)RING_SIZE);
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
MODULE_DESCRIPTION("klab: a ring that is too weak");
MODULE_LICENSE("GPL");
