// SPDX-License-Identifier: GPL-2.0-only
/* Reads one byte behind an object; the slab's object is larger, so nothing breaks. */
#include <linux/module.h>
#include <linux/slab.h>

static size_t size = 100;
module_param(size, ulong, 0);

static noinline u8 klab_read_behind(const u8 *bytes)
{
	return READ_ONCE(bytes[size]);
}

static int __init probe_init(void)
{
	u8 *bytes = kmalloc(size, GFP_KERNEL);

	if (!bytes)
		return -ENOMEM;
	klab_read_behind(bytes);
	kfree(bytes);
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: out-of-bounds read");
MODULE_LICENSE("GPL");
