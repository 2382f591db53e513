// SPDX-License-Identifier: GPL-2.0-only
/*
 * holder: stays in an RCU read-side section for a while, with nothing of routes in hand.
 * As long as it does, no grace period ends, and what call_rcu() was given has not run.
 *
 * Nothing to do here. The grader brings its own copy.
 */
#include <linux/completion.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>

static unsigned int ms = 100;
module_param(ms, uint, 0444);
MODULE_PARM_DESC(ms, "how long it stays, in milliseconds");

static DECLARE_COMPLETION(inside);
static DECLARE_COMPLETION(done);

static int hold(void *unused)
{
	ktime_t until;

	rcu_read_lock();
	complete(&inside);
	until = ktime_add_ms(ktime_get(), ms);
	while (ktime_before(ktime_get(), until))
		cpu_relax();
	rcu_read_unlock();
	kthread_complete_and_exit(&done, 0);
}

static int __init holder_init(void)
{
	struct task_struct *thread = kthread_run(hold, NULL, "holder");

	if (IS_ERR(thread))
		return PTR_ERR(thread);
	wait_for_completion(&inside);
	return 0;
}

static void __exit holder_exit(void)
{
	wait_for_completion(&done);
}

module_init(holder_init);
module_exit(holder_exit);
MODULE_DESCRIPTION("klab: a long RCU reader");
MODULE_LICENSE("GPL");
