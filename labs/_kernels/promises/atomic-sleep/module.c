// SPDX-License-Identifier: GPL-2.0-only
/* May sleep under a spinlock; with memory to spare it does not, so nothing else shows. */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(klab_lock);

static int __init probe_init(void)
{
	void *memory;

	spin_lock(&klab_lock);
	memory = kmalloc(100, GFP_KERNEL);
	spin_unlock(&klab_lock);
	kfree(memory);
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: sleep in atomic context");
MODULE_LICENSE("GPL");
