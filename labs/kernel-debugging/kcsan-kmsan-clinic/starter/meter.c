// SPDX-License-Identifier: GPL-2.0-only
/*
 * meter: counts requests and how long they take, for anybody who asks /dev/meter.
 *
 * It has been in use for years, and its tests pass. KCSAN and KMSAN see it differently.
 */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "meter.h"

#define BUSY 2
#define VERSION 1

static char label[64] = "meter";
module_param_string(label, label, sizeof(label), 0644);
MODULE_PARM_DESC(label, "what it is called in its answers");

struct meter meter = {
	.lock = __SPIN_LOCK_UNLOCKED(meter.lock),
};
EXPORT_SYMBOL_GPL(meter);

static u64 hits;
static unsigned int longest;

void meter_begin(void)
{
	unsigned long flags;

	hits++;
	spin_lock_irqsave(&meter.lock, flags);
	meter.open++;
	spin_unlock_irqrestore(&meter.lock, flags);
}
EXPORT_SYMBOL_GPL(meter_begin);

void meter_end(unsigned int us)
{
	unsigned long flags;

	if (us > longest)
		longest = us;
	spin_lock_irqsave(&meter.lock, flags);
	meter.open--;
	memmove(meter.history + 1, meter.history, sizeof(meter.history) - sizeof(meter.history[0]));
	meter.history[0] = us;
	if (meter.filled < SLOTS)
		meter.filled++;
	spin_unlock_irqrestore(&meter.lock, flags);
}
EXPORT_SYMBOL_GPL(meter_end);

u64 meter_hits(void)
{
	return hits;
}
EXPORT_SYMBOL_GPL(meter_hits);

unsigned int meter_longest(void)
{
	return longest;
}
EXPORT_SYMBOL_GPL(meter_longest);

bool meter_busy(void)
{
	return meter.open >= BUSY;
}
EXPORT_SYMBOL_GPL(meter_busy);

static noinline long meter_answer(void __user *to)
{
	struct meter_stats stats;
	unsigned int i;

	stats.version = VERSION;
	strscpy(stats.label, label, sizeof(stats.label));
	stats.hits = meter_hits();
	stats.longest = meter_longest();
	spin_lock_irq(&meter.lock);
	stats.open = meter.open;
	for (i = 0; i < meter.filled; i++)
		stats.history[i] = meter.history[i];
	if (meter.filled == SLOTS)
		stats.full = 1;
	spin_unlock_irq(&meter.lock);
	return copy_to_user(to, &stats, sizeof(stats)) ? -EFAULT : 0;
}

static long meter_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	switch (command) {
	case METER_STATS:
		return meter_answer((void __user *)argument);
	case METER_EVENT:
		meter_begin();
		meter_end(argument);
		return 0;
	}
	return -ENOTTY;
}

static const struct file_operations meter_ops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = meter_ioctl,
};

static struct miscdevice meter_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "meter",
	.fops = &meter_ops,
};

static int __init meter_init(void)
{
	return misc_register(&meter_device);
}

static void __exit meter_exit(void)
{
	misc_deregister(&meter_device);
}

module_init(meter_init);
module_exit(meter_exit);
MODULE_DESCRIPTION("klab: a meter of requests");
MODULE_LICENSE("GPL");
