// SPDX-License-Identifier: GPL-2.0-only
/* Reads an RCU pointer without rcu_read_lock(). */
#include <linux/module.h>
#include <linux/rcupdate.h>

static int value = 7;
static int __rcu *pointer = RCU_INITIALIZER(&value);

static int __init probe_init(void)
{
	pr_info("klab: read %d\n", *rcu_dereference(pointer));
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: RCU pointer without protection");
MODULE_LICENSE("GPL");
