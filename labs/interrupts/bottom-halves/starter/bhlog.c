// SPDX-License-Identifier: GPL-2.0-only
/*
 * bhlog: the work of the lab, which notes where it runs.
 *
 * /proc/bhlog has a line for each run. `events` are the interrupts that had asked for it since the
 * run before, `event_cpu` the CPU of the first of them, and `ms` the time since then.
 * Writing anything to it empties it.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>

#include "bhlog.h"

#define RUNS 256

static unsigned int nap_ms = 10;
module_param(nap_ms, uint, 0644);
MODULE_PARM_DESC(nap_ms, "how long work sleeps that may, in ms");

static atomic_t running = ATOMIC_INIT(0);

static int running_get(char *to, const struct kernel_param *param)
{
	return sysfs_emit(to, "%d\n", atomic_read(&running));
}

static const struct kernel_param_ops running_ops = {
	.get = running_get,
};
module_param_cb(running, &running_ops, NULL, 0444);
MODULE_PARM_DESC(running, "how many runs have begun and not ended");

static const char *const names[BH_KINDS] = {
	"tasklet", "soft-work", "work", "highpri", "unbound", "delayed", "thread",
};

static struct {
	unsigned int events;
	unsigned long at; /* jiffies */
	int cpu;
	bool hard; /* all of them came in hard interrupt context */
} waiting[BH_KINDS];

static struct run {
	enum bh_kind kind;
	const char *context;
	char task[TASK_COMM_LEN];
	int cpu, nice, event_cpu;
	unsigned int events, ms;
	bool preemptible, may_sleep, hard;
} runs[RUNS];
static unsigned int count;
static DEFINE_SPINLOCK(lock);

void bhlog_event(u32 causes)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	for (int kind = 0; kind < BH_KINDS; kind++) {
		if (!(causes & BIT(kind)))
			continue;
		if (!waiting[kind].events++) {
			waiting[kind].at = jiffies;
			waiting[kind].cpu = smp_processor_id();
			waiting[kind].hard = true;
		}
		waiting[kind].hard &= !!in_hardirq();
	}
	spin_unlock_irqrestore(&lock, flags);
}
EXPORT_SYMBOL_GPL(bhlog_event);

void bhlog_run(enum bh_kind kind, bool may_sleep)
{
	bool can_sleep = preemptible();
	struct run *run;
	unsigned long flags;

	if (WARN_ON(kind >= BH_KINDS))
		return;
	atomic_inc(&running);
	spin_lock_irqsave(&lock, flags);
	if (count < RUNS) {
		run = &runs[count++];
		run->kind = kind;
		run->context = in_hardirq() ? "hardirq" : in_serving_softirq() ? "softirq" : "task";
		memcpy(run->task, current->comm, TASK_COMM_LEN);
		run->cpu = smp_processor_id();
		run->nice = task_nice(current);
		run->preemptible = can_sleep;
		run->may_sleep = may_sleep;
		run->events = waiting[kind].events;
		run->event_cpu = waiting[kind].cpu;
		run->hard = waiting[kind].hard;
		run->ms = run->events ? jiffies_to_msecs(jiffies - waiting[kind].at) : 0;
		waiting[kind].events = 0;
	}
	spin_unlock_irqrestore(&lock, flags);
	if (may_sleep)
		msleep(READ_ONCE(nap_ms));
	atomic_dec(&running);
}
EXPORT_SYMBOL_GPL(bhlog_run);

static int bhlog_show(struct seq_file *to, void *unused)
{
	spin_lock_irq(&lock);
	for (unsigned int i = 0; i < count; i++)
		seq_printf(to, "kind=%s context=%s task=%.16s cpu=%d nice=%d preemptible=%d may_sleep=%d events=%u event_cpu=%d hard=%d ms=%u\n",
			   names[runs[i].kind], runs[i].context, runs[i].task, runs[i].cpu, runs[i].nice,
			   runs[i].preemptible, runs[i].may_sleep, runs[i].events, runs[i].event_cpu,
			   runs[i].hard, runs[i].ms);
	spin_unlock_irq(&lock);
	return 0;
}

static int bhlog_open(struct inode *inode, struct file *file)
{
	return single_open(file, bhlog_show, NULL);
}

static ssize_t bhlog_write(struct file *file, const char __user *from, size_t length, loff_t *at)
{
	spin_lock_irq(&lock);
	count = 0;
	spin_unlock_irq(&lock);
	return length;
}

static const struct proc_ops bhlog_ops = {
	.proc_open = bhlog_open,
	.proc_read = seq_read,
	.proc_write = bhlog_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init bhlog_init(void)
{
	return proc_create("bhlog", 0600, NULL, &bhlog_ops) ? 0 : -ENOMEM;
}

static void __exit bhlog_exit(void)
{
	remove_proc_entry("bhlog", NULL);
}

module_init(bhlog_init);
module_exit(bhlog_exit);
MODULE_DESCRIPTION("klab: where deferred work runs");
MODULE_LICENSE("GPL");
