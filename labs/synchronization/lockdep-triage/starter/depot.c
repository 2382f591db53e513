// SPDX-License-Identifier: GPL-2.0-only
/*
 * depot: bins with goods, and a journal of what should lie in them.
 *
 * echo "add BIN N"       >/proc/depot/control    N goods come into a bin
 * echo "move FROM TO N"  >/proc/depot/control    N goods go from one bin to another
 * echo "audit BIN"       >/proc/depot/control    fails when bin and journal differ
 * cat /proc/depot/bins                           goods in each bin
 * cat /proc/depot/history                        changes in each of the last intervals
 *
 * It works when one program uses it. Three mistakes wait for two programs, or for the timer.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#define BINS 8
#define INTERVALS 4
#define INTERVAL_MS 20

static unsigned int walk_us = 1000;
module_param(walk_us, uint, 0644);
MODULE_PARM_DESC(walk_us, "how long the way from one bin to another takes");

struct bin {
	struct mutex lock;
	unsigned int goods;
};

static struct bin bins[BINS];

/* What should lie in each bin. Bin and journal change together: who holds both locks sees them agree. */
static DEFINE_MUTEX(journal_lock);
static unsigned int booked[BINS];

/* How many changes there were in each of the last intervals. */
static DEFINE_SPINLOCK(history_lock);
static unsigned int history[INTERVALS];
static atomic_t changes = ATOMIC_INIT(0);
static struct hrtimer timer;

static void book(unsigned int bin, int count)
{
	mutex_lock(&journal_lock);
	booked[bin] += count;
	mutex_unlock(&journal_lock);
}

/* Whoever moves goods stays at the first bin until they have arrived: the way takes its time. */
static void walk(void)
{
	unsigned int us = READ_ONCE(walk_us);

	usleep_range(us, 2 * us);
}

static noinline int depot_add(unsigned int number, unsigned int count)
{
	struct bin *bin = &bins[number];

	mutex_lock(&bin->lock);
	bin->goods += count;
	book(number, count);
	mutex_unlock(&bin->lock);
	atomic_inc(&changes);
	return 0;
}

static noinline int depot_move(unsigned int source, unsigned int target, unsigned int count)
{
	struct bin *from = &bins[source], *to = &bins[target];
	int error = 0;

	if (source == target)
		return -EINVAL;
	mutex_lock(&from->lock);
	walk();
	mutex_lock(&to->lock);
	if (from->goods < count) {
		error = -ENOSPC;
	} else {
		from->goods -= count;
		book(source, -count);
		to->goods += count;
		book(target, count);
		atomic_inc(&changes);
	}
	mutex_unlock(&to->lock);
	mutex_unlock(&from->lock);
	return error;
}

static noinline int depot_audit(unsigned int number)
{
	struct bin *bin = &bins[number];
	int error;

	mutex_lock(&journal_lock);
	mutex_lock(&bin->lock);
	error = bin->goods == booked[number] ? 0 : -EIO;
	mutex_unlock(&bin->lock);
	mutex_unlock(&journal_lock);
	return error;
}

static int bins_show(struct seq_file *to, void *unused)
{
	unsigned int n;

	for (n = 0; n < BINS; n++) {
		mutex_lock(&bins[n].lock);
		seq_printf(to, "%u ", bins[n].goods);
		mutex_unlock(&bins[n].lock);
	}
	seq_putc(to, '\n');
	return 0;
}

static noinline int history_show(struct seq_file *to, void *unused)
{
	unsigned int n;

	spin_lock(&history_lock);
	for (n = 0; n < INTERVALS; n++)
		seq_printf(to, "%u ", history[n]);
	spin_unlock(&history_lock);
	seq_putc(to, '\n');
	return 0;
}

/* hrtimers of this kind are called by the timer's interrupt itself. */
static noinline enum hrtimer_restart depot_tick(struct hrtimer *timer)
{
	unsigned int n;

	spin_lock(&history_lock);
	for (n = INTERVALS - 1; n; n--)
		history[n] = history[n - 1];
	history[0] = atomic_xchg(&changes, 0);
	spin_unlock(&history_lock);
	hrtimer_forward_now(timer, ms_to_ktime(INTERVAL_MS));
	return HRTIMER_RESTART;
}

static ssize_t control_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	unsigned int one = 0, two = 0, three = 0;
	char text[64], verb[8] = "";
	int words, error = -EINVAL;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = '\0';
	words = sscanf(text, "%7s %u %u %u", verb, &one, &two, &three);

	if (one >= BINS || (words == 4 && two >= BINS))
		return -EINVAL;
	if (words == 3 && !strcmp(verb, "add"))
		error = depot_add(one, two);
	else if (words == 4 && !strcmp(verb, "move"))
		error = depot_move(one, two, three);
	else if (words == 2 && !strcmp(verb, "audit"))
		error = depot_audit(one);
	return error ? error : count;
}

static const struct proc_ops control_ops = {
	.proc_write = control_write,
};

static int __init depot_init(void)
{
	struct proc_dir_entry *folder;
	struct bin *bin;

	for (bin = bins; bin < bins + BINS; bin++)
		mutex_init(&bin->lock);
	folder = proc_mkdir("depot", NULL);
	if (!folder || !proc_create("control", 0200, folder, &control_ops) ||
	    !proc_create_single("bins", 0444, folder, bins_show) ||
	    !proc_create_single("history", 0444, folder, history_show)) {
		remove_proc_subtree("depot", NULL);
		return -ENOMEM;
	}
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	timer.function = depot_tick;
	hrtimer_start(&timer, ms_to_ktime(INTERVAL_MS), HRTIMER_MODE_REL_HARD);
	return 0;
}

static void __exit depot_exit(void)
{
	hrtimer_cancel(&timer);
	remove_proc_subtree("depot", NULL); /* waits for whoever is inside */
}

module_init(depot_init);
module_exit(depot_exit);
MODULE_DESCRIPTION("klab: a depot with a journal");
MODULE_LICENSE("GPL");
