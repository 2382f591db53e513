/* SPDX-License-Identifier: GPL-2.0-only */
/* What meter offers to other modules and to programs. Change the sizes as you like; the grader has its own. */
#ifndef METER_H
#define METER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define LABEL 13 /* bytes of a name in the answer */
#define SLOTS 5 /* of the history */

struct meter_stats {
	__u32 version;
	__u64 hits; /* requests that have begun */
	__u16 open; /* that have not ended */
	char label[LABEL];
	__u8 full; /* 1: each slot of the history is used */
	__u32 history[SLOTS]; /* how long requests took, the last one first; 0 where there was none */
	__u32 longest; /* of all times */
};

#define METER_STATS _IOR('m', 1, struct meter_stats)
#define METER_EVENT _IO('m', 2) /* a request that took so many microseconds as the argument says */

#ifdef __KERNEL__
#include <linux/spinlock.h>

/* Who holds the lock sees all of it agree; it is plain memory that the lock protects. */
struct meter {
	spinlock_t lock;
	unsigned int open;
	unsigned int filled; /* slots of the history that are used */
	u32 history[SLOTS];
};

extern struct meter meter;

/* From anywhere, any number at once; no call is lost. */
void meter_begin(void);
void meter_end(unsigned int us);

/* How many have begun. When nobody is inside meter_begin(), it is exact. */
u64 meter_hits(void);

/* The longest of all times: whoever has been inside meter_end(us) never sees less than us. */
unsigned int meter_longest(void);

/*
 * Are two or more open? A hint for whoever could put work off: a moment later it may be wrong. It waits
 * for nobody, and its caller may hold the lock.
 */
bool meter_busy(void);
#endif

#endif
