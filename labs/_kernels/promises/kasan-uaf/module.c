// SPDX-License-Identifier: GPL-2.0-only
/* Reads an object after it was freed. */
#include <linux/module.h>
#include <linux/slab.h>

static noinline u8 klab_read_freed(const u8 *bytes)
{
	return READ_ONCE(bytes[40]);
}

static int __init probe_init(void)
{
	u8 *bytes = kmalloc(100, GFP_KERNEL);

	if (!bytes)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(bytes);
	kfree(bytes);
	klab_read_freed(bytes);
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: use after free");
MODULE_LICENSE("GPL");
