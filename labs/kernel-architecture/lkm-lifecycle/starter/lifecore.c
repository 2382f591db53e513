// SPDX-License-Identifier: GPL-2.0-only
/*
 * lifecore: a store of `limit` units that other modules take and give back.
 *
 * /dev/lifecore reads as "<held> of <limit>\n".
 * /proc/lifecore exists as long as the module is loaded.
 */
#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>

#include "lifecore.h"

#define LIMIT_MAX 100

/* TODO: only 1 to LIMIT_MAX may be set, at load and later through sysfs: else -EINVAL. */
static int limit = 8;
module_param(limit, int, 0644);
MODULE_PARM_DESC(limit, "units in store, 1 to 100");

/* For tests: which step of init fails, with -ENOMEM. 1: the buffer, 2: the device, 3: /proc. */
static int fail_at;
module_param(fail_at, int, 0444);
MODULE_PARM_DESC(fail_at, "step of init that fails, 0: none");

static atomic_t held = ATOMIC_INIT(0);
static char *buffer;

/* TODO: let other modules (under the GPL) use these two. */
int lifecore_take(void)
{
	/* TODO: never more than limit, even when two modules take at once. */
	return -ENOSPC;
}

void lifecore_give(void)
{
}

static ssize_t lifecore_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	int length = scnprintf(buffer, PAGE_SIZE, "%d of %d\n", atomic_read(&held), READ_ONCE(limit));

	return simple_read_from_buffer(to, count, at, buffer, length);
}

/* TODO: as long as /dev/lifecore is open, the module must not go. */
static const struct file_operations lifecore_fops = {
	.read = lifecore_read,
};

static struct miscdevice lifecore_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "lifecore",
	.fops = &lifecore_fops,
};

/* The error that step number `step` gives today. */
static int trouble(int step)
{
	return fail_at == step ? -ENOMEM : 0;
}

static int __init lifecore_init(void)
{
	/*
	 * TODO: 1. the buffer, one page (kzalloc); 2. the device (misc_register);
	 * 3. /proc/lifecore (proc_mkdir). Each step first asks trouble(step). When a step
	 * fails, whatever the steps before it made is undone, and its error returned.
	 */
	return 0;
}

static void __exit lifecore_exit(void)
{
	/* TODO */
}

module_init(lifecore_init);
module_exit(lifecore_exit);
MODULE_DESCRIPTION("klab: a store of units");
MODULE_LICENSE("GPL");
