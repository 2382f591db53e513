// SPDX-License-Identifier: GPL-2.0-only
/*
 * feed: a driver for the device in hardware.h.
 *
 * /dev/feed          read: the next item, converted, as a line; waits for one. write: a number
 *                    becomes an item; -EAGAIN when the queue is full.
 * /proc/feed_label   read and write: the label that is burnt into the device.
 *
 * It works for one program that does one thing at a time. Nothing in it is protected.
 */
#include <linux/completion.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "hardware.h"

#define SIZE 256 /* a power of two */
#define LABEL 32

/* Items that wait. The memory belongs to the device: each access to it takes its time. */
static u32 ring[SIZE];
static unsigned int head, tail;

/* Counts the items in the ring. */
static DECLARE_COMPLETION(ready);

static char label[LABEL] = "none";

/* TODO: the interrupt and writers come here, and readers to pop(), at the same time. */
static bool push(u32 item)
{
	unsigned int at = head;

	if (at - tail == SIZE)
		return false;
	ring[at % SIZE] = item;
	hardware_settle();
	head = at + 1;
	complete(&ready);
	return true;
}

/* The oldest item. Only whoever has waited for `ready` may come here. */
static u32 pop(void)
{
	unsigned int at = tail;
	u32 item = ring[at % SIZE];

	hardware_settle();
	tail = at + 1;
	return item;
}

/*
 * TODO: whoever waits, for an item or for a channel, can be killed, and then no item is lost.
 * TODO: the device has hardware_channels() converters: so many work at a time, and no more.
 */
static ssize_t feed_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	char text[16];
	int length;
	u32 item;

	if (count < sizeof(text))
		return -EINVAL;
	wait_for_completion(&ready);
	item = pop();
	hardware_convert(item);
	length = scnprintf(text, sizeof(text), "%u\n", item);
	return copy_to_user(to, text, length) ? -EFAULT : length;
}

static ssize_t feed_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	u32 item;
	int error = kstrtou32_from_user(from, count, 0, &item);

	if (error)
		return error;
	return push(item) ? count : -EAGAIN;
}

static const struct file_operations feed_fops = {
	.owner = THIS_MODULE,
	.read = feed_read,
	.write = feed_write,
};

static struct miscdevice feed_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "feed",
	.fops = &feed_fops,
};

static int label_show(struct seq_file *to, void *unused)
{
	seq_printf(to, "%s\n", label);
	return 0;
}

/* TODO: one burns at a time; the label is the one in the device, and nobody reads half of it. */
static ssize_t label_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char text[LABEL];

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = '\0';
	strim(text);
	hardware_burn(text);
	strscpy(label, text);
	return count;
}

static int label_open(struct inode *inode, struct file *file)
{
	return single_open(file, label_show, NULL);
}

static const struct proc_ops label_ops = {
	.proc_open = label_open,
	.proc_read = seq_read,
	.proc_write = label_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init feed_init(void)
{
	int error = misc_register(&feed_device);

	if (error)
		return error;
	if (!proc_create("feed_label", 0644, NULL, &label_ops)) {
		misc_deregister(&feed_device);
		return -ENOMEM;
	}
	hardware_start(push);
	return 0;
}

static void __exit feed_exit(void)
{
	hardware_stop();
	remove_proc_entry("feed_label", NULL);
	misc_deregister(&feed_device);
}

module_init(feed_init);
module_exit(feed_exit);
MODULE_DESCRIPTION("klab: a driver that many use");
MODULE_LICENSE("GPL");
