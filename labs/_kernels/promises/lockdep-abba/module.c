// SPDX-License-Identifier: GPL-2.0-only
/* Two locks in two orders, one after the other: only the order is wrong, nothing waits. */
#include <linux/module.h>
#include <linux/mutex.h>

static DEFINE_MUTEX(klab_lock_a);
static DEFINE_MUTEX(klab_lock_b);

static int __init probe_init(void)
{
	mutex_lock(&klab_lock_a);
	mutex_lock(&klab_lock_b);
	mutex_unlock(&klab_lock_b);
	mutex_unlock(&klab_lock_a);

	mutex_lock(&klab_lock_b);
	mutex_lock(&klab_lock_a);
	mutex_unlock(&klab_lock_a);
	mutex_unlock(&klab_lock_b);
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: ABBA deadlock");
MODULE_LICENSE("GPL");
