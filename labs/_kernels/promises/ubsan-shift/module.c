// SPDX-License-Identifier: GPL-2.0-only
/* Shifts an int by 40 bits; the compiler must not know the number. */
#include <linux/module.h>

static int bits = 40;
module_param(bits, int, 0);

static noinline int klab_shift(int value)
{
	return value << READ_ONCE(bits);
}

static int __init probe_init(void)
{
	pr_info("klab: shifted to %d\n", klab_shift(1));
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: shift out of bounds");
MODULE_LICENSE("GPL");
