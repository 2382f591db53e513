// SPDX-License-Identifier: GPL-2.0-only
/* dirt: an ioctl that leaves its traces on the kernel's stack, where the next system call finds them. */
#include <linux/compiler.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#define DIRT 0xa5
#define BYTES 1024

static noinline unsigned int spread(void)
{
	volatile unsigned char bytes[BYTES];
	unsigned int n, sum = 0;

	for (n = 0; n < BYTES; n++)
		bytes[n] = DIRT;
	for (n = 0; n < BYTES; n++)
		sum += bytes[n];
	return sum;
}

static long dirt_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	return spread() == BYTES * DIRT ? 0 : -EIO;
}

static const struct file_operations dirt_ops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dirt_ioctl,
};

static struct miscdevice dirt_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dirt",
	.fops = &dirt_ops,
};
module_misc_device(dirt_device);
MODULE_DESCRIPTION("klab: leaves traces on the stack");
MODULE_LICENSE("GPL");
