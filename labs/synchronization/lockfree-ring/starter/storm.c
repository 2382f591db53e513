// SPDX-License-Identifier: GPL-2.0-only
/*
 * storm: uses the ring, and says what it saw: cat /sys/module/storm/parameters/result
 *
 * echo 1000 >/sys/module/storm/parameters/run    a thread and an interrupt on its CPU push a thousand each
 * echo 50 >/sys/module/storm/parameters/watch    one thread pushes, one pops, each on a CPU of its
 *                                                own, and KCSAN looks at each plain access (see below)
 *
 * Nothing to do here. The grader brings its own copy.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kcsan-checks.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "ring.h"

#define PRODUCERS 2 /* a thread, and an interrupt */
#define PERIOD_US 200
#define SHIFT 32 /* a value: who, and which of theirs */
#define SPINS 50

static unsigned int patience_s = 20;
module_param(patience_s, uint, 0444);
MODULE_PARM_DESC(patience_s, "how long all of it may take");

static char result[256];
module_param_string(result, result, sizeof(result), 0444);

static unsigned long items, deadline;
static atomic_long_t pushed, too_long;
static atomic_t active;
static DECLARE_WAIT_QUEUE_HEAD(done);

static bool late(void)
{
	return time_after(jiffies, deadline);
}

static void ended(unsigned long count)
{
	atomic_long_add(count, &pushed);
	if (atomic_dec_and_test(&active))
		wake_up(&done);
}

/* An interrupt comes anywhere, also into a push on its CPU. */
static struct hrtimer timer;
static unsigned long sent;

static enum hrtimer_restart interrupt(struct hrtimer *timer)
{
	if (sent < items && ring_push(1ull << SHIFT | sent) == 0)
		sent++;
	if (sent < items && !late()) {
		hrtimer_forward_now(timer, ns_to_ktime(PERIOD_US * NSEC_PER_USEC));
		return HRTIMER_RESTART;
	}
	ended(sent);
	return HRTIMER_NORESTART;
}

static int producer(void *unused)
{
	unsigned long count = items, long_ones = 0, n = 0;

	sent = 0;
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	timer.function = interrupt;
	hrtimer_start(&timer, ns_to_ktime(PERIOD_US * NSEC_PER_USEC), HRTIMER_MODE_REL_PINNED_HARD);
	/* As long as the interrupt has something to push, so that it has something to come into. */
	while ((n < count || atomic_read(&active) == PRODUCERS) && !late()) {
		long_ones += ring_length() > RING_SIZE;
		if (ring_push(n) == 0)
			n++;
		else
			yield();
	}
	atomic_long_add(long_ones, &too_long);
	ended(n);
	return 0;
}

/* The consumer is whoever writes to `run`. */
static int storm(void)
{
	struct task_struct *thread;
	unsigned long popped = 0, lost = 0, again = 0, strange = 0, empty = 0, who;
	u64 next[PRODUCERS] = {}, value;
	bool last = false;

	deadline = jiffies + patience_s * HZ;
	atomic_long_set(&pushed, 0);
	atomic_long_set(&too_long, 0);
	atomic_set(&active, PRODUCERS);
	thread = kthread_create(producer, NULL, "storm");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	kthread_bind(thread, num_online_cpus() - 1);
	wake_up_process(thread);

	while (!late()) {
		if (ring_pop(&value)) {
			/* Nothing will come any more when all had ended before this look. */
			if (last)
				break;
			last = !atomic_read(&active);
			if (++empty % SPINS)
				cpu_relax();
			else
				yield();
			continue;
		}
		popped++;
		who = value >> SHIFT;
		value &= (1ull << SHIFT) - 1;
		if (who >= PRODUCERS) {
			strange++;
			continue;
		}
		/* Each producer's values come in order, without a gap. */
		lost += value > next[who] ? value - next[who] : 0;
		again += value < next[who];
		next[who] = max(next[who], value + 1);
	}
	wait_event(done, !atomic_read(&active));
	hrtimer_cancel(&timer);
	scnprintf(result, sizeof(result), "pushed=%lu popped=%lu lost=%lu again=%lu strange=%lu too_long=%lu",
		  atomic_long_read(&pushed), popped, lost, again, strange, atomic_long_read(&too_long));
	return 0;
}

/*
 * A producer and a consumer, watched: KCSAN looks at each plain access of one of them instead of one in
 * thousands, and longer, while the other one is fast. It does so for all of the kernel, so interrupts are
 * off meanwhile, and nobody else is there.
 */
static unsigned long skip_watch, udelay_task;
module_param(skip_watch, ulong, 0444);
MODULE_PARM_DESC(skip_watch, "address of kcsan_skip_watch, from /proc/kallsyms");
module_param(udelay_task, ulong, 0444);
MODULE_PARM_DESC(udelay_task, "address of kcsan_udelay_task");
static unsigned int delay_us = 1000;
module_param(delay_us, uint, 0444);
MODULE_PARM_DESC(delay_us, "at a watchpoint");

#define EVERY 4000 /* accesses that are not watched: CONFIG_KCSAN_SKIP_WATCH */
#define NEVER (1l << 30)
#define SOME 3 /* go by at most: KCSAN keeps one access in flight, and each that it watches takes its place */
#define DELAY_US 80 /* CONFIG_KCSAN_UDELAY_TASK */
static atomic_t steps[8], inside;
static unsigned long next_push, next_pop;

static void sampling(long every, unsigned int us)
{
	unsigned long n;

	WRITE_ONCE(*(unsigned int *)udelay_task, 0);
	WRITE_ONCE(*(long *)skip_watch, every);
	/* What is left of this CPU's old interval; the next one is drawn from the new. */
	for (n = 0; n < 2 * EVERY; n++)
		kcsan_check_read(&n, sizeof(n));
	WRITE_ONCE(*(unsigned int *)udelay_task, us);
}

static void together(unsigned int step)
{
	atomic_inc(&steps[step]);
	while (atomic_read(&steps[step]) < 2)
		cpu_relax();
}

/*
 * Push or pop `count` items. Whoever is watched waits, so that the other one is close behind: `full` keeps
 * the ring full, for a producer that is fast, else it is empty.
 */
static void use(bool consumer, bool full, unsigned long count)
{
	ktime_t until = ktime_add_ms(ktime_get(), patience_s * MSEC_PER_SEC / 4);
	unsigned long n = consumer ? next_pop : next_push, end = n + count;

	while (n < end && ktime_before(ktime_get(), until)) {
		u64 value = n;
		int error;

		if (consumer == full && atomic_read(&inside) != (full ? RING_SIZE : 0))
			continue;
		kcsan_enable_current();
		if (!consumer)
			ring_length();
		error = consumer ? ring_pop(&value) : ring_push(value);
		kcsan_disable_current();
		if (!error && value != n)
			break;
		if (!error)
			atomic_add(consumer ? -1 : 1, &inside);
		n += !error;
	}
	*(consumer ? &next_pop : &next_push) = n;
}

/* Two threads; the first CPU's is the one that is watched. */
static int watched(void *arg)
{
	bool fast = arg;
	u64 value;

	kcsan_disable_current(); /* for the rest of this thread's life, but for the ring */
	together(0);
	local_irq_disable();
	together(1);
	if (fast)
		sampling(NEVER, DELAY_US);
	together(2);
	if (!fast)
		sampling(SOME, delay_us);
	together(3);
	/* First the consumer waits for each item; then the ring is full, and the producer for each place. */
	use(fast, false, items);
	together(4);
	while (fast && !ring_push(next_push)) {
		atomic_inc(&inside);
		next_push++;
	}
	together(5);
	use(!fast, true, items);
	together(6);
	if (!fast)
		sampling(EVERY, DELAY_US);
	together(7);
	local_irq_enable();
	while (!fast && !ring_pop(&value) && value == next_pop)
		next_pop++;
	if (atomic_dec_and_test(&active))
		wake_up(&done);
	return 0;
}

static int watch(void)
{
	struct task_struct *threads[2];
	unsigned long n;

	if (num_online_cpus() < 2 || !skip_watch || !udelay_task)
		return -ENODEV;
	next_push = next_pop = 0;
	for (n = 0; n < ARRAY_SIZE(steps); n++)
		atomic_set(&steps[n], 0);
	atomic_set(&inside, 0);
	atomic_set(&active, 2);
	for (n = 0; n < 2; n++) {
		threads[n] = kthread_create(watched, (void *)n, "watch/%lu", n);
		if (IS_ERR(threads[n])) {
			if (n)
				kthread_stop(threads[0]); /* it has not run */
			return PTR_ERR(threads[n]);
		}
		kthread_bind(threads[n], n);
	}
	for (n = 0; n < 2; n++)
		wake_up_process(threads[n]);
	wait_event(done, !atomic_read(&active));
	scnprintf(result, sizeof(result), "pushed=%lu in_order=%lu", next_push, next_pop);
	return 0;
}

static int run_set(const char *text, const struct kernel_param *param)
{
	int error = kstrtoul(text, 0, &items);

	return error ? error : storm();
}

static int run_get(char *to, const struct kernel_param *param)
{
	return sprintf(to, "%lu\n", items);
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
	.get = run_get,
};
module_param_cb(run, &run_ops, NULL, 0644);

static int watch_set(const char *text, const struct kernel_param *param)
{
	int error = kstrtoul(text, 0, &items);

	return error ? error : watch();
}

static const struct kernel_param_ops watch_ops = {
	.set = watch_set,
	.get = run_get,
};
module_param_cb(watch, &watch_ops, NULL, 0644);

static int __init storm_init(void)
{
	return 0;
}

static void __exit storm_exit(void)
{
}

module_init(storm_init);
module_exit(storm_exit);
MODULE_DESCRIPTION("klab: uses the ring from all sides at once");
MODULE_LICENSE("GPL");
