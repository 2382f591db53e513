// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A sluice: a boat goes through gates, one after the other, and round again. Each gate lets it
 * pass for a credit, and has a keeper that gives credits. Reading /proc/sluice waits for the
 * next round and tells how many there were.
 *
 * At load one gate goes wrong: which one and how depends on the parameter seed, which is
 * forgotten at once.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#define FULL 3 /* credits that a gate holds at most */

struct gate {
	struct list_head list;
	unsigned int number;
	u32 key;
	int credit;
	bool shut;
	struct task_struct *keeper;
};

static unsigned int seed __initdata;
module_param(seed, uint, 0);

static LIST_HEAD(gates);
static DECLARE_WAIT_QUEUE_HEAD(water);
static unsigned long rounds;
static struct task_struct *boat;

/* Whoever counts is one of these; which one, the seed knows. */
static noinline void count_by_day(void)
{
	rounds++;
}

static noinline void count_by_night(void)
{
	WRITE_ONCE(rounds, rounds + 1);
}

static noinline void count_by_tide(void)
{
	unsigned long next = rounds + 1;

	WRITE_ONCE(rounds, next);
}

static void (*const counters[])(void) = { count_by_day, count_by_night, count_by_tide };
static unsigned int counter;

/* A gate in debt gets nothing: who owes, is not served. */
static int keep(void *data)
{
	struct gate *gate = data;

	while (!kthread_should_stop()) {
		if (!READ_ONCE(gate->shut) && gate->credit >= 0 && gate->credit < FULL)
			gate->credit++;
		wake_up_all(&water);
		msleep_interruptible(20);
	}
	return 0;
}

static int sail(void *unused)
{
	struct gate *at;

	while (!kthread_should_stop()) {
		list_for_each_entry(at, &gates, list) {
			wait_event_interruptible(water, READ_ONCE(at->credit) > 0 || kthread_should_stop());
			if (kthread_should_stop())
				return 0;
			at->credit--;
		}
		counters[counter]();
		wake_up_all(&water);
	}
	return 0;
}

static int sluice_show(struct seq_file *to, void *unused)
{
	unsigned long before = READ_ONCE(rounds);

	if (wait_event_interruptible(water, READ_ONCE(rounds) != before))
		return -ERESTARTSYS;
	seq_printf(to, "%lu\n", READ_ONCE(rounds));
	return 0;
}

static void open_all(void)
{
	struct gate *gate, *next;

	if (boat)
		kthread_stop(boat);
	list_for_each_entry_safe(gate, next, &gates, list) {
		if (!IS_ERR_OR_NULL(gate->keeper))
			kthread_stop(gate->keeper);
		kfree(gate);
	}
}

static int __init add_gate(unsigned int number)
{
	struct gate *gate = kzalloc(sizeof(*gate), GFP_KERNEL);

	if (!gate)
		return -ENOMEM;
	gate->number = number;
	gate->key = seed * 2654435761U + number * 40503U;
	gate->credit = FULL;
	list_add_tail(&gate->list, &gates);
	gate->keeper = kthread_run(keep, gate, "keeper/%u", number);
	return PTR_ERR_OR_ZERO(gate->keeper);
}

/* Either it owes, or it is shut with nothing left. */
static void __init go_wrong(struct gate *gate)
{
	if ((seed >> 8) & 1) {
		WRITE_ONCE(gate->shut, true);
		msleep(50);
		gate->credit = 0;
	} else {
		gate->credit = -1000 - (int)(seed & 0xfff);
	}
}

static int __init sluice_init(void)
{
	unsigned int n, count = 4 + seed % 4, wrong = (seed >> 4) % count;
	struct gate *gate;
	int error;

	counter = (seed >> 12) % ARRAY_SIZE(counters);
	for (n = 0; n < count; n++) {
		error = add_gate(n);
		if (error)
			goto out;
	}
	list_for_each_entry(gate, &gates, list)
		if (gate->number == wrong)
			go_wrong(gate);
	error = -ENOMEM;
	if (!proc_create_single("sluice", 0444, NULL, sluice_show))
		goto out;
	boat = kthread_run(sail, NULL, "boat");
	if (!IS_ERR(boat))
		return 0;
	error = PTR_ERR(boat);
	boat = NULL;
	remove_proc_entry("sluice", NULL);
out:
	open_all();
	return error;
}

static void __exit sluice_exit(void)
{
	remove_proc_entry("sluice", NULL);
	open_all();
}

module_init(sluice_init);
module_exit(sluice_exit);
MODULE_DESCRIPTION("klab: a sluice in which a boat is stuck");
MODULE_LICENSE("GPL");
