// SPDX-License-Identifier: GPL-2.0-only
/* Branches on a byte that nobody has written. */
#include <linux/module.h>
#include <linux/slab.h>

static noinline void klab_decide(const u8 *bytes)
{
	if (READ_ONCE(bytes[10]) == 42)
		pr_info("klab: by chance\n");
	else
		pr_info("klab: as expected\n");
}

static int __init probe_init(void)
{
	u8 *bytes = kmalloc(100, GFP_KERNEL);

	if (!bytes)
		return -ENOMEM;
	klab_decide(bytes);
	kfree(bytes);
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: use of an uninitialised value");
MODULE_LICENSE("GPL");
