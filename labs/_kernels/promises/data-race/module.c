// SPDX-License-Identifier: GPL-2.0-only
/* Two threads count up one variable without any lock or mark. */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>

static unsigned int seconds = 5;
module_param(seconds, uint, 0);

static unsigned long counter;

static noinline void klab_count(void)
{
	counter++;
}

static int klab_racer(void *unused)
{
	while (!kthread_should_stop()) {
		klab_count();
		cond_resched();
	}
	return 0;
}

static int __init probe_init(void)
{
	struct task_struct *first, *second;

	first = kthread_run(klab_racer, NULL, "klab_first");
	if (IS_ERR(first))
		return PTR_ERR(first);
	second = kthread_run(klab_racer, NULL, "klab_second");
	msleep(seconds * MSEC_PER_SEC);
	kthread_stop(first);
	if (IS_ERR(second))
		return PTR_ERR(second);
	kthread_stop(second);
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: data race");
MODULE_LICENSE("GPL");
