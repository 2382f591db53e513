// SPDX-License-Identifier: GPL-2.0-only
/*
 * hammer: looks up, walks and changes the routes at the same time when it is loaded, and says what it
 * saw: cat /sys/module/hammer/parameters/result
 *
 * Nothing to do here. The grader brings its own copy.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include "routes.h"

#define FIXED 4 /* routes 10.n/16 that stay, and lie between those that come and go */

static unsigned int rounds = 1000;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "lookups and changes of each thread");
static unsigned int seed = 1;
module_param(seed, uint, 0444);
static unsigned int patience_ms = 2000;
module_param(patience_ms, uint, 0444);
MODULE_PARM_DESC(patience_ms, "how long a reader stays where it is and waits for a writer");
static unsigned int stay_ms = 300;
module_param(stay_ms, uint, 0444);
MODULE_PARM_DESC(stay_ms, "how long it stays after the writer has come back");

static char result[512];
module_param_string(result, result, sizeof(result), 0444);

static u32 step(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Each route's hop follows from the rest of it. */
static u32 hop_of(u32 prefix, unsigned int length)
{
	return (prefix ^ seed) * 2654435761u + length;
}

static bool whole(const struct route *route)
{
	return route->hop == hop_of(route->prefix, route->length);
}

static int add(u32 prefix, unsigned int length)
{
	return route_add(prefix, length, hop_of(prefix, length));
}

static u32 network(unsigned int n)
{
	return 10u << 24 | n << 16;
}

static unsigned long freed(void)
{
	struct route_stats now;

	route_stats(&now);
	return now.freed;
}

struct job {
	struct completion done;
	u32 state;
	unsigned int first; /* a writer's routes: of this network */
	unsigned int wrong, count;
};

static struct job jobs[5];

static void start(struct job *job, int (*work)(void *), int cpu)
{
	struct task_struct *thread = kthread_create(work, job, "hammer/%d", cpu);

	init_completion(&job->done);
	if (IS_ERR(thread)) {
		job->wrong++;
		complete(&job->done);
		return;
	}
	kthread_bind(thread, cpu);
	wake_up_process(thread);
}

/* 1. A reader stays at a route until a writer has deleted it and come back, and a while longer. */
static struct completion inside, gone;
static bool written;

static struct at {
	bool waited, early, intact;
} lookup_saw, walk_saw;

static void linger(const struct route *route, void *arg)
{
	ktime_t until = ktime_add_ms(ktime_get(), patience_ms);
	unsigned long before = freed();

	complete(&inside);
	while (!smp_load_acquire(&written) && ktime_before(ktime_get(), until))
		cpu_relax();
	lookup_saw.waited = !smp_load_acquire(&written);
	until = ktime_add_ms(ktime_get(), stay_ms);
	while (ktime_before(ktime_get(), until))
		cpu_relax();
	lookup_saw.early = freed() != before;
	lookup_saw.intact = whole(route);
}

static int long_lookup(void *arg)
{
	struct job *job = arg;

	if (route_lookup(network(0) | 0x0101, linger, NULL)) {
		job->wrong++;
		complete(&inside);
	}
	kthread_complete_and_exit(&job->done, 0);
}

/* The same for one that sleeps, and then walks on over the routes behind. */
static void stay(const struct route *route, void *arg)
{
	unsigned long before = freed();
	struct job *job = arg;

	job->count++;
	job->wrong += !whole(route);
	if (route->prefix != (network(1) | 0x0100))
		return;
	complete(&inside);
	walk_saw.waited = !wait_for_completion_timeout(&gone, msecs_to_jiffies(patience_ms));
	msleep(stay_ms);
	walk_saw.early = freed() != before;
	walk_saw.intact = whole(route);
}

static int long_walk(void *arg)
{
	struct job *job = arg;

	route_walk(stay, job);
	kthread_complete_and_exit(&job->done, 0);
}

/* 2. All at once. Writers add and delete routes inside the fixed ones. */
static void look(const struct route *route, void *arg)
{
	struct job *job = arg;

	job->count++;
	job->wrong += !whole(route);
}

static int looks(void *arg)
{
	struct job *job = arg;
	unsigned int n;

	for (n = 0; n < rounds; n++) {
		u32 address = network(step(&job->state) % FIXED) | step(&job->state) % 1024;

		job->wrong += route_lookup(address, look, job) != 0;
		if (n % 16 == 0)
			cond_resched();
	}
	kthread_complete_and_exit(&job->done, 0);
}

static void visit(const struct route *route, void *arg)
{
	struct job *job = arg;

	job->wrong += !whole(route);
	job->count += route->length == 16;
	if (step(&job->state) % 8 == 0)
		usleep_range(50, 100);
}

static int walks(void *arg)
{
	struct job *job = arg;
	unsigned int n;

	for (n = 0; n < rounds / 50; n++) {
		job->count = 0;
		route_walk(visit, job);
		job->wrong += job->count != FIXED; /* who stays is always seen, once */
	}
	kthread_complete_and_exit(&job->done, 0);
}

static int writes(void *arg)
{
	bool present[4] = {};
	struct job *job = arg;
	unsigned int n;

	for (n = 0; n < rounds; n++) {
		unsigned int which = step(&job->state) % ARRAY_SIZE(present);
		u32 prefix = network(job->first) | which << 8;

		if (present[which])
			job->wrong += route_del(prefix, 24) != 0;
		else
			job->wrong += add(prefix, 24) != 0;
		present[which] = !present[which];
		if (n % 8 == 0)
			cond_resched();
	}
	for (n = 0; n < ARRAY_SIZE(present); n++)
		job->wrong += route_del(network(job->first) | n << 8, 24) != (present[n] ? 0 : -ENOENT);
	kthread_complete_and_exit(&job->done, 0);
}

/* What is deleted is freed, sooner or later: ten seconds are later than late. */
static struct route_stats settled(void)
{
	struct route_stats now;
	unsigned int n;

	for (n = 0; n < 100; n++) {
		route_stats(&now);
		if (now.freed + now.live == now.inserted)
			break;
		msleep(100);
	}
	return now;
}

static int __init hammer_init(void)
{
	int other = num_online_cpus() > 1; /* with one CPU it shows less, but it works */
	unsigned int wrong = 0, looked = 0, seen, n;
	struct route_stats now;

	for (n = 0; n < ARRAY_SIZE(jobs); n++)
		jobs[n].state = seed + n;
	for (n = 0; n < FIXED; n++)
		wrong += add(network(n), 16) != 0;
	wrong += add(network(0) | 0x0100, 24) != 0;
	wrong += add(network(1) | 0x0100, 24) != 0;
	wrong += add(network(1) | 0x0100, 24) != -EEXIST;

	init_completion(&inside);
	start(&jobs[0], long_lookup, other);
	wait_for_completion(&inside);
	wrong += route_del(network(0) | 0x0100, 24) != 0;
	smp_store_release(&written, true);
	wait_for_completion(&jobs[0].done);
	wrong += jobs[0].wrong;

	settled(); /* or what the lookup had is freed beside the walk, which is to see that nothing is */
	init_completion(&inside);
	init_completion(&gone);
	start(&jobs[1], long_walk, other);
	wait_for_completion(&inside);
	jobs[0] = (struct job){ .state = seed };
	wrong += route_lookup(network(1) | 0x0101, look, &jobs[0]) != 0; /* the one somebody sleeps at */
	wrong += route_del(network(1) | 0x0100, 24) != 0;
	wrong += route_lookup(network(1) | 0x0101, look, &jobs[0]) != 0; /* the fixed one around it */
	complete(&gone);
	wait_for_completion(&jobs[1].done);
	wrong += jobs[0].wrong + jobs[1].wrong;
	seen = jobs[1].count;

	for (n = 0; n < ARRAY_SIZE(jobs); n++)
		jobs[n] = (struct job){ .state = seed + n, .first = n };
	start(&jobs[0], looks, 0);
	start(&jobs[1], looks, other);
	start(&jobs[2], writes, 0);
	start(&jobs[3], writes, other);
	start(&jobs[4], walks, other);
	for (n = 0; n < ARRAY_SIZE(jobs); n++) {
		wait_for_completion(&jobs[n].done);
		wrong += jobs[n].wrong;
		looked += n < 2 ? jobs[n].count : 0;
	}

	now = settled();
	scnprintf(result, sizeof(result),
		  "lookup_waited=%d lookup_early=%d lookup_intact=%d walk_waited=%d walk_early=%d walk_intact=%d walk_seen=%u wrong=%u looked=%u inserted=%lu live=%lu freed=%lu longest=%u",
		  lookup_saw.waited, lookup_saw.early, lookup_saw.intact, walk_saw.waited, walk_saw.early,
		  walk_saw.intact, seen, wrong, looked, now.inserted, now.live, now.freed, now.longest_ms);
	return 0;
}

static void __exit hammer_exit(void)
{
}

module_init(hammer_init);
module_exit(hammer_exit);
MODULE_DESCRIPTION("klab: looks up, walks and changes routes at once");
MODULE_LICENSE("GPL");
