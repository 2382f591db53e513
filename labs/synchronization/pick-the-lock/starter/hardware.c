// SPDX-License-Identifier: GPL-2.0-only
/*
 * hardware: a device with a queue of arriving items, some converters and a label that can be burnt. It
 * counts what a driver does wrong: /sys/module/hardware/parameters
 *
 * Nothing to do here. The grader brings its own copy.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "hardware.h"

static unsigned int channels = 2;
module_param(channels, uint, 0444);
static unsigned int convert_ms = 2;
module_param(convert_ms, uint, 0644);
MODULE_PARM_DESC(convert_ms, "how long a conversion takes");
static unsigned int period_us = 500;
module_param(period_us, uint, 0444);

/* echo 100 >/sys/module/hardware/parameters/send: a hundred more items arrive, numbered on. */
static atomic_t waiting = ATOMIC_INIT(0);

static int send_set(const char *text, const struct kernel_param *param)
{
	unsigned int count;
	int error = kstrtouint(text, 0, &count);

	if (!error)
		atomic_add(count, &waiting);
	return error;
}

static int send_get(char *to, const struct kernel_param *param)
{
	return sprintf(to, "%d\n", atomic_read(&waiting));
}

static const struct kernel_param_ops send_ops = {
	.set = send_set,
	.get = send_get,
};
module_param_cb(send, &send_ops, NULL, 0644);
MODULE_PARM_DESC(send, "items that are still to arrive");

static int busy, peak, broken, clashes;
module_param(busy, int, 0444);
MODULE_PARM_DESC(busy, "conversions under way");
module_param(peak, int, 0444);
MODULE_PARM_DESC(peak, "most conversions at the same time");
module_param(broken, int, 0444);
MODULE_PARM_DESC(broken, "conversions that were too many");
module_param(clashes, int, 0444);
MODULE_PARM_DESC(clashes, "labels that were burnt while another one was");
static DEFINE_SPINLOCK(lock); /* of these */

static bool (*handler)(u32 item);
static struct hrtimer interrupt;
static atomic_t burning = ATOMIC_INIT(0);

unsigned int hardware_channels(void)
{
	return channels;
}
EXPORT_SYMBOL_GPL(hardware_channels);

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	static u32 next;

	if (atomic_read(&waiting) && handler(next)) {
		next++;
		atomic_dec(&waiting);
	}
	hrtimer_forward_now(timer, ns_to_ktime(period_us * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

void hardware_start(bool (*arrived)(u32 item))
{
	handler = arrived;
	hrtimer_init(&interrupt, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	interrupt.function = tick;
	hrtimer_start(&interrupt, ns_to_ktime(period_us * NSEC_PER_USEC), HRTIMER_MODE_REL_HARD);
}
EXPORT_SYMBOL_GPL(hardware_start);

void hardware_stop(void)
{
	hrtimer_cancel(&interrupt);
}
EXPORT_SYMBOL_GPL(hardware_stop);

void hardware_settle(void)
{
	udelay(20);
}
EXPORT_SYMBOL_GPL(hardware_settle);

void hardware_convert(u32 item)
{
	spin_lock(&lock);
	busy++;
	peak = max(peak, busy);
	broken += busy > channels;
	spin_unlock(&lock);
	msleep(READ_ONCE(convert_ms));
	spin_lock(&lock);
	busy--;
	spin_unlock(&lock);
}
EXPORT_SYMBOL_GPL(hardware_convert);

void hardware_burn(const char *label)
{
	bool clash = atomic_inc_return(&burning) > 1;

	msleep(2);
	atomic_dec(&burning);
	spin_lock(&lock);
	clashes += clash;
	spin_unlock(&lock);
}
EXPORT_SYMBOL_GPL(hardware_burn);

static int __init hardware_init(void)
{
	return channels ? 0 : -EINVAL;
}

static void __exit hardware_exit(void)
{
}

module_init(hardware_init);
module_exit(hardware_exit);
MODULE_DESCRIPTION("klab: a device with a queue, converters and a label");
MODULE_LICENSE("GPL");
