// SPDX-License-Identifier: GPL-2.0-only
/*
 * cfgtable: configurations by key, read all the time and changed rarely.
 *
 * This version is right for one thing: nobody ever sees half a configuration. But each
 * reader writes to the lock and to the counter, so readers on many CPUs wait for each
 * other's cache lines; and one long reader holds up all writers.
 */
#include <linux/atomic.h>
#include <linux/hashtable.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "cfgtable.h"

struct record {
	struct config config;
	struct hlist_node link;
};

static DEFINE_HASHTABLE(table, 4);

/* TODO: readers take no lock; writers take one that readers do not know. */
static DEFINE_RWLOCK(lock);

/* TODO: a counter for each CPU. */
static atomic64_t reads = ATOMIC64_INIT(0);

static atomic_long_t live = ATOMIC_LONG_INIT(0);
static atomic_long_t freed = ATOMIC_LONG_INIT(0);
static atomic_long_t allocated = ATOMIC_LONG_INIT(0); /* and not freed yet */

/* Records come from here. It tells at unload when one was not given back. */
static struct kmem_cache *cache;

static struct record *lookup(u32 key)
{
	struct record *record;

	hash_for_each_possible(table, record, link, key)
		if (record->config.key == key)
			return record;
	return NULL;
}

/* A record that is in no table yet. */
static struct record *record_new(u32 key, const u32 words[CONFIG_WORDS])
{
	struct record *record = kmem_cache_alloc(cache, GFP_KERNEL);

	if (record) {
		atomic_long_inc(&allocated);
		record->config.key = key;
		memcpy(record->config.words, words, sizeof(record->config.words));
	}
	return record;
}

/* TODO: a record that was replaced or deleted is freed, and counted, when no reader can have it. */
static void record_free(struct record *record)
{
	kmem_cache_free(cache, record);
	atomic_long_dec(&allocated);
	atomic_long_inc(&freed);
}

int table_read(u32 key, void (*look)(const struct config *config, void *arg), void *arg)
{
	struct record *record;

	atomic64_inc(&reads);
	read_lock(&lock);
	record = lookup(key);
	if (record)
		look(&record->config, arg);
	read_unlock(&lock);
	return record ? 0 : -ENOENT;
}
EXPORT_SYMBOL_GPL(table_read);

int table_set(u32 key, const u32 words[CONFIG_WORDS])
{
	struct record *old, *new = record_new(key, words);

	if (!new)
		return -ENOMEM;
	write_lock(&lock);
	old = lookup(key);
	if (old) {
		old->config = new->config;
	} else {
		hash_add(table, &new->link, key);
		atomic_long_inc(&live);
	}
	write_unlock(&lock);
	if (old)
		record_free(new);
	return 0;
}
EXPORT_SYMBOL_GPL(table_set);

int table_del(u32 key)
{
	struct record *record;

	write_lock(&lock);
	record = lookup(key);
	if (record) {
		hash_del(&record->link);
		atomic_long_dec(&live);
	}
	write_unlock(&lock);
	if (!record)
		return -ENOENT;
	record_free(record);
	return 0;
}
EXPORT_SYMBOL_GPL(table_del);

u64 table_reads(int cpu)
{
	return cpu ? 0 : atomic64_read(&reads); /* TODO */
}
EXPORT_SYMBOL_GPL(table_reads);

unsigned long table_live(void)
{
	return atomic_long_read(&live);
}
EXPORT_SYMBOL_GPL(table_live);

unsigned long table_freed(void)
{
	return atomic_long_read(&freed);
}
EXPORT_SYMBOL_GPL(table_freed);

static int __init cfgtable_init(void)
{
	cache = kmem_cache_create("cfgtable_record", sizeof(struct record), 0, 0, NULL);
	return cache ? 0 : -ENOMEM;
}

static void __exit cfgtable_exit(void)
{
	struct hlist_node *next;
	struct record *record;
	int bucket;

	hash_for_each_safe(table, bucket, next, record, link)
		table_del(record->config.key);
	/* TODO: what must have happened before the cache, and this code, may go? */
	WARN_ON(atomic_long_read(&allocated));
	kmem_cache_destroy(cache);
}

module_init(cfgtable_init);
module_exit(cfgtable_exit);
MODULE_DESCRIPTION("klab: a table that is mostly read");
MODULE_LICENSE("GPL");
