/* SPDX-License-Identifier: GPL-2.0-only */
/* What routes offers to other modules. */
#ifndef ROUTES_H
#define ROUTES_H

#include <linux/types.h>

/* Addresses whose first `length` bits are those of `prefix` go to `hop`. */
struct route {
	u32 prefix;
	unsigned int length;
	u32 hop;
};

struct route_stats {
	unsigned long inserted; /* ever */
	unsigned long live; /* in the table */
	unsigned long freed; /* their memory was given back */
	unsigned int longest_ms; /* that a deleted route had to wait for its end */
};

/*
 * Call look() with the route of the longest prefix that fits the address; the route stays as it
 * is until look() returns, whatever is added or deleted meanwhile. look() must not sleep. 0, or
 * -ENOENT. Waits for nobody.
 */
int route_lookup(u32 address, void (*look)(const struct route *route, void *arg), void *arg);

/*
 * Call visit() with one route after the other, the longest prefixes first. visit() may sleep, as long
 * as it wants; the route stays as it is until it returns. Nobody waits for visit() but the memory of
 * what is deleted meanwhile.
 */
void route_walk(void (*visit)(const struct route *route, void *arg), void *arg);

/* Add a route: 0, -EEXIST, -EINVAL or -ENOMEM. Waits for other writers, never for readers. */
int route_add(u32 prefix, unsigned int length, u32 hop);

/* Delete it: 0, or -ENOENT. Waits for other writers, never for readers. */
int route_del(u32 prefix, unsigned int length);

void route_stats(struct route_stats *stats);

#endif
