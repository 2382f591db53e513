// SPDX-License-Identifier: GPL-2.0-only
/*
 * mill: a byte that is written to /proc/mill starts an operation, whose functions call each other as a plan
 * says: plan_a for `a`, plan_b for `b`. A plan is a list of calls, CALLER-CALLEE-TIMES-KIND-AMOUNT each, with
 * functions by number; 0 comes first. A callee makes its own calls, and then does what its caller wanted:
 *
 *	c	computes for so many microseconds
 *	s	sleeps for so many microseconds
 *	l	takes and releases a lock, number AMOUNT; a thread has it since the operation began, for hold_us
 *	n	nothing
 *
 * Nothing to do here. The grader loads it with other names and plans.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "names.h"

#define CALLS 32
#define LOCKS 2
#define LENGTH 1024

struct call {
	unsigned int caller, callee, times, amount;
	char kind;
};

struct plan {
	struct call calls[CALLS];
	unsigned int count;
};

static char plan_a[LENGTH] = "0-1-1-n-0,1-4-2-c-500,0-2-1-n-0,2-4-1-s-20000";
module_param_string(plan_a, plan_a, sizeof(plan_a), 0444);
static char plan_b[LENGTH] = "0-3-1-c-9000";
module_param_string(plan_b, plan_b, sizeof(plan_b), 0444);
static unsigned int hold_us = 20000;
module_param(hold_us, uint, 0444);
MODULE_PARM_DESC(hold_us, "how long a lock is held, from the start of an operation");

static struct plan plans[2];

/* How long the latest operations of plan_a took, in us. */
#define TOOK 16
static unsigned int took[TOOK], operations;
module_param_array(took, uint, NULL, 0444);
module_param(operations, uint, 0444);

static struct holder {
	struct task_struct *thread;
	struct mutex lock;
	struct completion wanted, held;
} holders[LOCKS];

static __always_inline void work(const struct call *call)
{
	unsigned int us;

	switch (call->kind) {
	case 'c':
		for (us = 0; us < call->amount; us += 100)
			udelay(100);
		break;
	case 's':
		usleep_range(call->amount, call->amount + 100);
		break;
	case 'l':
		mutex_lock(&holders[call->amount % LOCKS].lock);
		mutex_unlock(&holders[call->amount % LOCKS].lock);
		break;
	}
}

static void dispatch(unsigned int function, const struct plan *plan, const struct call *call);

static __always_inline void calls_of(unsigned int function, const struct plan *plan)
{
	const struct call *call;
	unsigned int n;

	for (call = plan->calls; call < plan->calls + plan->count; call++)
		for (n = 0; call->caller == function && n < call->times; n++)
			dispatch(call->callee, plan, call);
}

#define DEFINE(number, name) \
	static noinline __noclone void name(const struct plan *plan, const struct call *call) \
	{ \
		calls_of(number, plan); \
		work(call); \
	}
MILL_FUNCTIONS(DEFINE)

#define CASE(number, name) \
	case number: \
		name(plan, call); \
		break;
/* Not seen by tracers: what is seen are the functions alone. */
static notrace noinline void dispatch(unsigned int function, const struct plan *plan, const struct call *call)
{
	switch (function) {
	MILL_FUNCTIONS(CASE)
	}
}

static notrace int hold(void *data)
{
	struct holder *holder = data;

	while (!kthread_should_stop()) {
		if (wait_for_completion_interruptible(&holder->wanted) || kthread_should_stop())
			continue;
		mutex_lock(&holder->lock);
		complete(&holder->held);
		usleep_range(hold_us, hold_us + 100);
		mutex_unlock(&holder->lock);
	}
	return 0;
}

/* One operation at a time, so that a plan is all that one waits for. */
static DEFINE_MUTEX(busy);

static notrace ssize_t mill_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	static const struct call first = { .kind = 'n' };
	struct holder *holder;
	struct plan *plan;
	ktime_t began;
	char which;

	if (!count || get_user(which, from))
		return -EFAULT;
	if (which != 'a' && which != 'b')
		return -EINVAL;
	plan = &plans[which == 'b'];
	if (which == 'b') {
		dispatch(0, plan, &first);
		return count;
	}
	mutex_lock(&busy);
	for (holder = holders; holder < holders + LOCKS; holder++) {
		complete(&holder->wanted);
		wait_for_completion(&holder->held);
	}
	began = ktime_get();
	dispatch(0, plan, &first);
	took[operations++ % TOOK] = ktime_us_delta(ktime_get(), began);
	/* What was not waited for is released before the next one begins. */
	for (holder = holders; holder < holders + LOCKS; holder++) {
		mutex_lock(&holder->lock);
		mutex_unlock(&holder->lock);
	}
	mutex_unlock(&busy);
	return count;
}

static const struct proc_ops mill_ops = { .proc_write = mill_write };

static int __init read_plan(struct plan *plan, char *text)
{
	struct call *call = plan->calls;
	char *word;

	while ((word = strsep(&text, ","))) {
		if (call == plan->calls + CALLS || sscanf(word, "%u-%u-%u-%c-%u", &call->caller, &call->callee,
							  &call->times, &call->kind, &call->amount) != 5 ||
		    call->callee <= call->caller)
			return -EINVAL;
		call++;
	}
	plan->count = call - plan->calls;
	return 0;
}

static void stop(void)
{
	struct holder *holder;

	for (holder = holders; holder < holders + LOCKS; holder++)
		if (!IS_ERR_OR_NULL(holder->thread))
			kthread_stop(holder->thread);
}

static int __init mill_init(void)
{
	static const char *const names[LOCKS] = HOLDERS;
	int n, error = read_plan(&plans[0], plan_a) ?: read_plan(&plans[1], plan_b);

	for (n = 0; n < LOCKS && !error; n++) {
		mutex_init(&holders[n].lock);
		init_completion(&holders[n].wanted);
		init_completion(&holders[n].held);
		holders[n].thread = kthread_run(hold, &holders[n], "%s", names[n]);
		error = PTR_ERR_OR_ZERO(holders[n].thread);
	}
	if (!error && !proc_create("mill", 0200, NULL, &mill_ops))
		error = -ENOMEM;
	if (error)
		stop();
	return error;
}

static void __exit mill_exit(void)
{
	remove_proc_entry("mill", NULL);
	stop();
}

module_init(mill_init);
module_exit(mill_exit);
MODULE_DESCRIPTION("klab: an operation that is slow somewhere");
MODULE_LICENSE("GPL");
