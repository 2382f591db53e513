// SPDX-License-Identifier: GPL-2.0-only
/*
 * load: uses the meter from two CPUs and their interrupts at once, for so many milliseconds.
 *
 * echo 1000 >/sys/module/load/parameters/run     all begin and end requests, and look at the longest
 * echo 1000 >/sys/module/load/parameters/peek    one does; the other one reads what the lock protects
 * cat /sys/module/load/parameters/result
 *
 * Nothing to do here. The grader brings its own copy.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "meter.h"

#define WORKERS 2
#define LOOK 16 /* rounds until the next look at the clock */
#define PERIOD_US 500

static char result[160];
module_param_string(result, result, sizeof(result), 0444);

struct worker {
	struct completion done;
	struct hrtimer timer;
	ktime_t until;
	unsigned int number, highest;
	unsigned int least; /* what the longest is at least, as its CPU's interrupt knows */
	unsigned long calls, fell, busy, interrupts;
	bool peeks;
};

static struct worker workers[WORKERS];

/* Somebody who is new here, forgets the lock, and has heard that READ_ONCE makes it right. */
static noinline unsigned int intruder_peek(void)
{
	return READ_ONCE(meter.open);
}

/* An interrupt comes anywhere, also between two accesses of its CPU's worker. */
static enum hrtimer_restart interrupt(struct hrtimer *timer)
{
	struct worker *worker = container_of(timer, struct worker, timer);
	unsigned int us = meter_longest() + 1 + WORKERS;

	meter_begin();
	meter_end(us);
	WRITE_ONCE(worker->least, us);
	worker->interrupts++;
	hrtimer_forward_now(timer, ns_to_ktime(PERIOD_US * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

static void request(struct worker *worker)
{
	unsigned int us, least;

	meter_begin();
	worker->busy += meter_busy();
	/* All want to be the longest, by little. */
	us = meter_longest() + 1 + worker->number;
	meter_end(us);
	least = max(us, READ_ONCE(worker->least));
	worker->fell += meter_longest() < least;
	worker->highest = max(worker->highest, least);
	worker->calls++;
}

static int work(void *arg)
{
	struct worker *worker = arg;
	unsigned long seen = 0;
	unsigned int n;

	if (!worker->peeks) {
		hrtimer_init(&worker->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
		worker->timer.function = interrupt;
		hrtimer_start(&worker->timer, ns_to_ktime(PERIOD_US * NSEC_PER_USEC), HRTIMER_MODE_REL_PINNED_HARD);
	}
	do {
		for (n = 0; n < LOOK; n++) {
			if (worker->peeks)
				seen += intruder_peek();
			else
				request(worker);
		}
	} while (ktime_before(ktime_get(), worker->until));
	if (!worker->peeks)
		hrtimer_cancel(&worker->timer);
	worker->busy += seen;
	complete(&worker->done);
	return 0;
}

/* Two requests, and the hint before, between and after them. */
static bool hint_is_right(void)
{
	bool none = meter_busy(), one, two, after;

	meter_begin();
	one = meter_busy();
	meter_begin();
	two = meter_busy();
	meter_end(0);
	meter_end(0);
	after = meter_busy();
	return !none && !one && two && !after;
}

static int run(const char *text, bool peek)
{
	struct task_struct *threads[WORKERS];
	unsigned long calls = 0, fell = 0, flags;
	unsigned int ms, n, highest = 0;
	int error = kstrtouint(text, 0, &ms);
	bool hint = hint_is_right();
	u64 before = meter_hits();

	if (error)
		return error;
	if (num_online_cpus() < WORKERS)
		return -ENODEV;
	/* Who holds the lock may ask, too. */
	spin_lock_irqsave(&meter.lock, flags);
	meter_busy();
	spin_unlock_irqrestore(&meter.lock, flags);
	for (n = 0; n < WORKERS; n++) {
		workers[n] = (struct worker){ .number = n, .peeks = peek && n,
					      .until = ktime_add_ms(ktime_get(), ms) };
		init_completion(&workers[n].done);
		threads[n] = kthread_create(work, &workers[n], "load/%u", n);
		if (IS_ERR(threads[n])) {
			if (n)
				kthread_stop(threads[0]); /* it has not run */
			return PTR_ERR(threads[n]);
		}
		kthread_bind(threads[n], n);
	}
	for (n = 0; n < WORKERS; n++)
		wake_up_process(threads[n]);
	for (n = 0; n < WORKERS; n++) {
		wait_for_completion(&workers[n].done);
		calls += workers[n].calls + workers[n].interrupts;
		fell += workers[n].fell;
		highest = max3(highest, workers[n].highest, workers[n].least);
	}
	scnprintf(result, sizeof(result), "calls=%lu hits=%llu fell=%lu highest=%u longest=%u hint=%d", calls,
		  meter_hits() - before, fell, highest, meter_longest(), hint);
	return 0;
}

static int run_set(const char *text, const struct kernel_param *param)
{
	return run(text, false);
}

static int peek_set(const char *text, const struct kernel_param *param)
{
	return run(text, true);
}

static const struct kernel_param_ops run_ops = { .set = run_set };
module_param_cb(run, &run_ops, NULL, 0200);
static const struct kernel_param_ops peek_ops = { .set = peek_set };
module_param_cb(peek, &peek_ops, NULL, 0200);

static int __init load_init(void)
{
	return 0;
}

static void __exit load_exit(void)
{
}

module_init(load_init);
module_exit(load_exit);
MODULE_DESCRIPTION("klab: uses the meter from two CPUs and their interrupts");
MODULE_LICENSE("GPL");
