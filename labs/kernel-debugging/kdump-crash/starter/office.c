// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An office: clerks, each a thread of the kernel, and orders in a list that one lock protects.
 * One clerk takes the lock and never gives it back. Some wait for it, some for other things,
 * all in the same state. One order was damaged. In the end a clerk makes the kernel crash.
 * Who, which and how depends on the parameter seed, which is forgotten at once.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#define CLERKS 8
#define ORDERS 12

enum job { HOLDS, WAITS, SLEEPS, CRASHES };

struct order {
	struct list_head list;
	unsigned int number;
	unsigned int price;
	unsigned int seal; /* SEAL(number, price) */
};

#define SEAL(number, price) ((number) * 2654435761U ^ (price))

struct clerk {
	unsigned int number;
	enum job job;
	struct task_struct *task;
};

static unsigned int seed __initdata;
module_param(seed, uint, 0);
static unsigned int delay = 500; /* ms until it ends */
module_param(delay, uint, 0);

static DEFINE_MUTEX(ledger);
static LIST_HEAD(orders);
static struct clerk clerks[CLERKS];
static DECLARE_COMPLETION(never);
static DECLARE_COMPLETION(taken);
static unsigned int how;

static noinline void close_by_null(struct order *order)
{
	WRITE_ONCE(order->price, 0);
}

static noinline void close_by_bug(void)
{
	BUG_ON(mutex_is_locked(&ledger));
}

static noinline void close_by_panic(unsigned int number)
{
	panic("office: clerk %u gives up", number);
}

static noinline void close_office(unsigned int number)
{
	pr_info("clerk %u closes the office\n", number);
	if (how == 0)
		close_by_null(NULL);
	else if (how == 1)
		close_by_bug();
	else
		close_by_panic(number);
	pr_info("nobody reads this\n");
}

static int work(void *data)
{
	struct clerk *clerk = data;

	switch (clerk->job) {
	case HOLDS:
		mutex_lock(&ledger);
		complete_all(&taken);
		wait_for_completion(&never);
		break;
	case WAITS:
		wait_for_completion(&taken);
		mutex_lock(&ledger);
		mutex_unlock(&ledger);
		break;
	case SLEEPS:
		wait_for_completion(&never);
		break;
	case CRASHES:
		wait_for_completion(&taken);
		msleep(delay);
		close_office(clerk->number);
		break;
	}
	return 0;
}

static int __init write_orders(void)
{
	unsigned int n, damaged = (seed >> 4) % ORDERS;

	for (n = 0; n < ORDERS; n++) {
		struct order *order = kzalloc(sizeof(*order), GFP_KERNEL);

		if (!order)
			return -ENOMEM; /* the kernel is about to crash anyway */
		order->number = seed % 1000 + n * 7;
		order->price = (seed >> 3) % 977 + n;
		order->seal = SEAL(order->number, order->price);
		if (n == damaged)
			order->price ^= 1U << (seed % 10);
		list_add_tail(&order->list, &orders);
	}
	return 0;
}

static int __init office_init(void)
{
	unsigned int n, first = seed % CLERKS, waiting = 2 + (seed >> 8) % 3;
	int error = write_orders();

	if (error)
		return error;
	how = (seed >> 16) % 3;
	for (n = 0; n < CLERKS; n++) {
		struct clerk *clerk = &clerks[(first + n * 3) % CLERKS];

		clerk->number = (first + n * 3) % CLERKS;
		clerk->job = !n ? HOLDS : n == 1 ? CRASHES : n < 2 + waiting ? WAITS : SLEEPS;
		clerk->task = kthread_run(work, clerk, "clerk/%u", clerk->number);
		if (IS_ERR(clerk->task))
			return PTR_ERR(clerk->task);
	}
	return 0;
}

module_init(office_init);
MODULE_DESCRIPTION("klab: an office that ends badly");
MODULE_LICENSE("GPL");
