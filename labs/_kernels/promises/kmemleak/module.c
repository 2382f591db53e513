// SPDX-License-Identifier: GPL-2.0-only
/* Loses objects: a stale register or stack slot may hide one of them, not all. */
#include <linux/module.h>
#include <linux/slab.h>

static void *only;

static noinline void klab_lose(void)
{
	WRITE_ONCE(only, kmalloc(200, GFP_KERNEL));
	WRITE_ONCE(only, NULL);
}

static int __init probe_init(void)
{
	int count;

	for (count = 0; count < 8; count++)
		klab_lose();
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: memory leak");
MODULE_LICENSE("GPL");
