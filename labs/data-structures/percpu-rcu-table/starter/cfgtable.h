/* SPDX-License-Identifier: GPL-2.0-only */
/* What cfgtable offers to other modules. */
#ifndef CFGTABLE_H
#define CFGTABLE_H

#include <linux/types.h>

#define CONFIG_WORDS 8

struct config {
	u32 key;
	u32 words[CONFIG_WORDS];
};

/*
 * Call look() with the configuration of a key; it stays as it is until look() returns,
 * whatever is set or deleted meanwhile. 0, or -ENOENT. Counts as one read, found or not.
 */
int table_read(u32 key, void (*look)(const struct config *config, void *arg), void *arg);

/* Make or replace the configuration of a key. Waits for other writers, never for readers. */
int table_set(u32 key, const u32 words[CONFIG_WORDS]);

/* Delete it: 0, or -ENOENT. Waits for other writers, never for readers. */
int table_del(u32 key);

/* Reads that were counted on one CPU. */
u64 table_reads(int cpu);

/* Records in the table, and records that were replaced or deleted and are freed by now. */
unsigned long table_live(void);
unsigned long table_freed(void);

#endif
