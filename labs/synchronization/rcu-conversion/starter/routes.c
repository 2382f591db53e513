// SPDX-License-Identifier: GPL-2.0-only
/*
 * routes: a routing table as a list, the longest prefixes first, so that the first that fits is the
 * right one.
 *
 * This version is under a reader-writer lock. It keeps each route as long as somebody looks at it;
 * but a long lookup holds up all writers, a writer holds up all lookups, and whoever walks and sleeps,
 * as visit() may, does it inside a spinning lock.
 */
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "routes.h"

struct entry {
	struct route route;
	struct list_head node;
	unsigned long deleted_at; /* in jiffies */
};

static LIST_HEAD(routes);

/* TODO: lookups and walks take no lock, each in its own way; writers exclude each other. */
static DEFINE_RWLOCK(lock);

/* Entries come from here. It tells at unload when one was not given back. */
static struct kmem_cache *cache;

/* The statistics have a lock of their own: entries are freed in any context. */
static DEFINE_SPINLOCK(stats_lock);
static struct route_stats stats;

static u32 mask(unsigned int length)
{
	return length ? ~0u << (32 - length) : 0;
}

/* Give an entry back, at once, and count it. */
static void entry_free(struct entry *entry)
{
	unsigned int ms = jiffies_to_msecs(jiffies - entry->deleted_at);
	unsigned long flags;

	kmem_cache_free(cache, entry);
	spin_lock_irqsave(&stats_lock, flags);
	stats.freed++;
	stats.longest_ms = max(stats.longest_ms, ms);
	spin_unlock_irqrestore(&stats_lock, flags);
}

/* An entry was put in, or taken out. */
static void entry_count(int change)
{
	unsigned long flags;

	spin_lock_irqsave(&stats_lock, flags);
	stats.inserted += change > 0;
	stats.live += change;
	spin_unlock_irqrestore(&stats_lock, flags);
}

int route_lookup(u32 address, void (*look)(const struct route *route, void *arg), void *arg)
{
	struct entry *entry;
	int error = -ENOENT;

	read_lock(&lock);
	list_for_each_entry(entry, &routes, node) {
		if ((address & mask(entry->route.length)) == entry->route.prefix) {
			look(&entry->route, arg);
			error = 0;
			break;
		}
	}
	read_unlock(&lock);
	return error;
}
EXPORT_SYMBOL_GPL(route_lookup);

void route_walk(void (*visit)(const struct route *route, void *arg), void *arg)
{
	struct entry *entry;

	/* TODO: visit() may sleep. */
	read_lock(&lock);
	list_for_each_entry(entry, &routes, node)
		visit(&entry->route, arg);
	read_unlock(&lock);
}
EXPORT_SYMBOL_GPL(route_walk);

int route_add(u32 prefix, unsigned int length, u32 hop)
{
	struct entry *new, *entry;

	if (length > 32 || prefix & ~mask(length))
		return -EINVAL;
	new = kmem_cache_alloc(cache, GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	new->route = (struct route){ prefix, length, hop };

	write_lock(&lock);
	list_for_each_entry(entry, &routes, node) {
		if (entry->route.length < length)
			break;
		if (entry->route.length == length && entry->route.prefix == prefix) {
			write_unlock(&lock);
			kmem_cache_free(cache, new);
			return -EEXIST;
		}
	}
	/* Before the first that is shorter, or at the end. */
	list_add_tail(&new->node, &entry->node);
	write_unlock(&lock);
	entry_count(1);
	return 0;
}
EXPORT_SYMBOL_GPL(route_add);

int route_del(u32 prefix, unsigned int length)
{
	struct entry *entry;

	write_lock(&lock);
	list_for_each_entry(entry, &routes, node) {
		if (entry->route.length == length && entry->route.prefix == prefix) {
			list_del(&entry->node);
			write_unlock(&lock);
			entry->deleted_at = jiffies;
			entry_count(-1);
			/* TODO: only when nobody who looks and nobody who walks can have it. */
			entry_free(entry);
			return 0;
		}
	}
	write_unlock(&lock);
	return -ENOENT;
}
EXPORT_SYMBOL_GPL(route_del);

void route_stats(struct route_stats *now)
{
	unsigned long flags;

	spin_lock_irqsave(&stats_lock, flags);
	*now = stats;
	spin_unlock_irqrestore(&stats_lock, flags);
}
EXPORT_SYMBOL_GPL(route_stats);

static int __init routes_init(void)
{
	cache = kmem_cache_create("routes_entry", sizeof(struct entry), 0, 0, NULL);
	return cache ? 0 : -ENOMEM;
}

static void __exit routes_exit(void)
{
	struct entry *entry, *next;

	list_for_each_entry_safe(entry, next, &routes, node)
		route_del(entry->route.prefix, entry->route.length);
	/* TODO: what must have happened before the cache, and this code, may go? And in which order? */
	WARN_ON(stats.freed != stats.inserted);
	kmem_cache_destroy(cache);
}

module_init(routes_init);
module_exit(routes_exit);
MODULE_DESCRIPTION("klab: a routing table");
MODULE_LICENSE("GPL");
