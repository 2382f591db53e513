// SPDX-License-Identifier: GPL-2.0-only
/*
 * wreck: a ship that goes down in ten ways. Nothing to do here; the grader brings its own.
 *
 * echo "KIND ROUTE" >/proc/wreck    takes the steps of the route, digits from 0 to 7, then goes down
 *
 * KIND is near, far, freed, text, bug, stack, hung, soft, hard or dead. "here: KIND" marks the line.
 * While relief is 0, hung, soft and hard go on for ever; dead takes all CPUs and nothing ends it.
 */
#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "parts.h"

#define LONGEST 1024 /* bytes of an order */
#define CLOSE 12 /* steps before the end that the mate goes along with */
#define OWN __attribute__((__noipa__)) /* called as its declaration says, whoever calls it */

static bool relief;
module_param(relief, bool, 0644);
MODULE_PARM_DESC(relief, "ends what hangs");

static unsigned int gauge = 1;
static int bottom = INT_MAX;
static struct kmem_cache *crates;
static struct part *boat;
static struct hull *hull;
static struct part spare;
static DECLARE_COMPLETION(pilot);

#define STEP(name, number)		\
	OWN static void name(void)	\
	{				\
		gauge += (number);	\
	}

STEP(STEP_0, 1)

STEP(STEP_1, 2)

STEP(STEP_2, 3)

STEP(STEP_3, 5)

STEP(STEP_4, 7)

STEP(STEP_5, 11)

STEP(STEP_6, 13)

STEP(STEP_7, 17)

static void (*const steps[])(void) = {
	STEP_0, STEP_1, STEP_2, STEP_3, STEP_4, STEP_5, STEP_6, STEP_7,
};

/* The mate takes a step of their own after each of the last ones, on another CPU if there is one. */
static struct task_struct *mate;
static atomic_t called = ATOMIC_INIT(0), answered = ATOMIC_INIT(0);

static int mate_runs(void *unused)
{
	while (!kthread_should_stop()) {
		int turn = atomic_read(&called);

		if (turn != atomic_read(&answered)) {
			steps[turn * 5 % ARRAY_SIZE(steps)]();
			atomic_set(&answered, turn);
		}
		if (READ_ONCE(relief))
			complete_all(&pilot);
		usleep_range(1000, 2000);
	}
	return 0;
}

static __always_inline void together(void)
{
	ktime_t until = ktime_add_ms(ktime_get(), 50);
	int turn = atomic_inc_return(&called);

	while (atomic_read(&answered) != turn && ktime_before(ktime_get(), until))
		cond_resched();
}

/* Something looks odd on the way, which is not the end. */
static noinline void follow(const char *route)
{
	size_t left = strlen(route);

	WARN(READ_ONCE(gauge), "wreck: the gauge reads %u\n", gauge);
	for (; *route; route++, left--) {
		steps[*route & 7]();
		if (left <= CLOSE)
			together();
	}
}

OWN static int NEAR_FN(NEAR_ARGS(struct part *part, int a, int b))
{
	atomic_inc(&part->uses); /* here: near */
	return a + b;
}

OWN static int FAR_FN(FAR_ARGS(struct hull *hull, int a, int b))
{
	atomic_inc(&hull->leaks); /* here: far */
	return a - b;
}

OWN static int FREED_FN(FREED_ARGS(struct part *part, int a, int b))
{
	return a + b + WEIGHT_FN(part);
}

OWN static int TEXT_FN(TEXT_ARGS(struct part *part, int a, int b))
{
	atomic_dec(&part->uses); /* here: text */
	return b - a;
}

OWN static int BUG_FN(int a, int b)
{
	if (a < b) {
		pr_emerg("wreck: a draught of %d, and water for %d\n", b, a);
		BUG(); /* here: bug */
	}
	return a - b;
}

OWN static int STACK_FN(int depth)
{
	char cabin[CABIN];
	int below;

	memset(cabin, depth, sizeof(cabin));
	barrier_data(cabin);
	if (depth == READ_ONCE(bottom))
		return cabin[0];
	below = STACK_FN(depth + 1); /* here: stack */
	return below + cabin[depth % CABIN];
}

OWN static int HUNG_FN(int a)
{
	wait_for_completion(&pilot); /* here: hung */
	return a + READ_ONCE(gauge);
}

OWN static int SOFT_FN(int a)
{
	preempt_disable();
	while (!READ_ONCE(relief))
		mdelay(1); /* here: soft */
	preempt_enable();
	return a;
}

OWN static int HARD_FN(int a)
{
	local_irq_disable();
	while (!READ_ONCE(relief)) /* here: hard */
		cpu_relax(); /* here: hard */
	local_irq_enable();
	return a;
}

static void freeze(void *unused)
{
	for (;;)
		cpu_relax();
}

/* A crate whose part is a good one, until somebody writes a label that is too long. */
static struct crate *crate_new(const char *label)
{
	struct crate *crate = kmem_cache_zalloc(crates, GFP_KERNEL);

	if (crate) {
		char *to = (char *)crate;
		unsigned int n;

		crate->part = &spare;
		for (n = 0; label[n] && n < sizeof(*crate); n++)
			WRITE_ONCE(to[n], label[n]);
	}
	return crate;
}

static noinline int sail(const char *kind, const char *route)
{
	struct crate *crate = crate_new(strcmp(kind, "text") ? "tea" : LABEL);

	if (!crate)
		return -ENOMEM;
	follow(route);
	if (!strcmp(kind, "near"))
		return NEAR_FN(NEAR_ARGS(READ_ONCE(boat), 3, 4));
	if (!strcmp(kind, "far"))
		return FAR_FN(FAR_ARGS(READ_ONCE(hull), 3, 4));
	if (!strcmp(kind, "text"))
		return TEXT_FN(TEXT_ARGS(READ_ONCE(crate->part), 3, 4));
	kmem_cache_free(crates, crate);
	if (!strcmp(kind, "freed"))
		return FREED_FN(FREED_ARGS(READ_ONCE(crate->part), 3, 4));
	if (!strcmp(kind, "bug"))
		return BUG_FN(3, 4);
	if (!strcmp(kind, "stack"))
		return STACK_FN(0);
	if (!strcmp(kind, "hung")) {
		reinit_completion(&pilot);
		return HUNG_FN(3);
	}
	if (!strcmp(kind, "soft"))
		return SOFT_FN(3);
	if (!strcmp(kind, "hard"))
		return HARD_FN(3);
	if (!strcmp(kind, "dead"))
		on_each_cpu(freeze, NULL, 1);
	return -EINVAL;
}

static ssize_t wreck_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char *text, *route;
	int said;

	if (count > LONGEST)
		return -EINVAL;
	text = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	route = strim(text);
	strsep(&route, " ");
	said = sail(text, route ? route : "");
	kfree(text);
	return said < 0 ? said : count;
}

static const struct proc_ops wreck_ops = {
	.proc_write = wreck_write,
};

static int __init wreck_init(void)
{
	/* What was freed is filled with a pattern; slab_debug=P on the command line does it for all caches. */
	crates = kmem_cache_create("wreck_crate", sizeof(struct crate), 0, SLAB_POISON, NULL);
	if (!crates)
		return -ENOMEM;
	mate = kthread_run(mate_runs, NULL, "mate");
	if (IS_ERR(mate)) {
		kmem_cache_destroy(crates);
		return PTR_ERR(mate);
	}
	if (!proc_create("wreck", 0200, NULL, &wreck_ops)) {
		kthread_stop(mate);
		kmem_cache_destroy(crates);
		return -ENOMEM;
	}
	return 0;
}

static void __exit wreck_exit(void)
{
	remove_proc_entry("wreck", NULL);
	kthread_stop(mate);
	kmem_cache_destroy(crates);
}

module_init(wreck_init);
module_exit(wreck_exit);
MODULE_DESCRIPTION("klab: ways to go down");
MODULE_LICENSE("GPL");
