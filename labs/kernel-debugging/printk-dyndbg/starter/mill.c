// SPDX-License-Identifier: GPL-2.0-only
/*
 * mill: a neighbour of silo whose messages are in order. It has names and words in common with silo, and
 * somebody else looks after it. Nothing to do here; the grader brings its own copy.
 *
 * echo NUMBER >/proc/mill    grinds as much
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/proc_fs.h>

static noinline void grind(unsigned int number)
{
	pr_debug("ground %u\n", number);
}

static noinline void decode(unsigned int number)
{
	pr_debug("sum %u fits\n", number);
	grind(number);
}

static ssize_t mill_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	unsigned int number;
	int error = kstrtouint_from_user(from, count, 0, &number);

	if (error)
		return error;
	decode(number);
	return count;
}

static const struct proc_ops mill_ops = {
	.proc_write = mill_write,
};

static int __init mill_init(void)
{
	return proc_create("mill", 0200, NULL, &mill_ops) ? 0 : -ENOMEM;
}

static void __exit mill_exit(void)
{
	remove_proc_entry("mill", NULL);
}

module_init(mill_init);
module_exit(mill_exit);
MODULE_DESCRIPTION("klab: a mill that says what it should");
MODULE_LICENSE("GPL");
