// SPDX-License-Identifier: GPL-2.0-only
/*
 * zoo: nine functions, each of them with a mistake that shows for some numbers.
 *
 * echo "NAME N" >/proc/zoo    visits one of them
 * cat /proc/zoo               what it answered the last time
 *
 * The comment above each function says what is right. -ERANGE is -34.
 */
#include <linux/errno.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/uaccess.h>

#include "zoo.h"

struct cage {
	u8 bars[BARS];
	u8 rest[CAGE - BARS];
};

struct order {
	u8 kind;
	bool open;
};

struct box {
	struct box *next;
	long value;
};

static struct kmem_cache *cages; /* objects of CAGE bytes */
static u8 board[BOARD];
static struct box boxes[2], *spare; /* a small store of boxes, the module's own */

static void fill(u8 *to, int count)
{
	int i;

	for (i = 0; i < count; i++)
		to[i] = i + 1;
}

/* heap N: byte N of an object of CAGE bytes, which are 1, 2, 3 and so on; -ERANGE where it has none. */
static noinline long zoo_heap(long n)
{
	u8 *cage = kmem_cache_alloc(cages, GFP_KERNEL);
	long result;

	if (!cage)
		return -ENOMEM;
	fill(cage, CAGE);
	result = cage[n];
	kmem_cache_free(cages, cage);
	return result;
}

static noinline long zoo_pick(const u8 *bytes, long n)
{
	return bytes[n];
}

/* stack N: byte N of NOTE bytes, which are 1, 2, 3 and so on; -ERANGE where there is none. */
static noinline long zoo_stack(long n)
{
	u8 note[NOTE];

	fill(note, NOTE);
	return zoo_pick(note, n);
}

/* global N: byte N of BOARD bytes, which are 1, 2, 3 and so on; -ERANGE where there is none. */
static noinline long zoo_global(long n)
{
	fill(board, BOARD);
	return board[n];
}

/* freed N: word N of an object, whose whole words are 1000, 1001 and so on; -ERANGE where it has none. */
static noinline long zoo_freed(long n)
{
	u32 *cage, i;

	if (n < 0 || n >= CAGE / sizeof(*cage))
		return -ERANGE;
	cage = kmem_cache_alloc(cages, GFP_KERNEL);
	if (!cage)
		return -ENOMEM;
	for (i = 0; i < CAGE / sizeof(*cage); i++)
		cage[i] = 1000 + i;
	kmem_cache_free(cages, cage);
	return cage[n];
}

/* twice N: the sum of N threes, below MEALS of them; else -ERANGE. */
static noinline long zoo_twice(long n)
{
	u8 *cage = kmem_cache_alloc(cages, GFP_KERNEL);
	long result = -ERANGE, i;

	if (!cage)
		return -ENOMEM;
	memset(cage, 3, CAGE);
	if (n < 0 || n >= MEALS) {
		kmem_cache_free(cages, cage);
		goto out;
	}
	for (result = 0, i = 0; i < n; i++)
		result += cage[i];
out:
	kmem_cache_free(cages, cage);
	return result;
}

/* array N: marks one of BARS bars, and says how many are marked, which is 1; -ERANGE where there is none. */
static noinline long zoo_array(long n)
{
	struct cage *cage = kmem_cache_zalloc(cages, GFP_KERNEL);
	long result = 0;
	int i;

	if (!cage)
		return -ENOMEM;
	cage->bars[n] = 1;
	for (i = 0; i < BARS; i++)
		result += cage->bars[i];
	kmem_cache_free(cages, cage);
	return result;
}

/* shift N: two to the power of N, up to 62; else -ERANGE. */
static noinline long zoo_shift(long n)
{
	return 1 << n;
}

/* flag N: a byte of a message says whether a gate is open: 0, or 1 for each of 1 to 255; else -ERANGE. */
static noinline long zoo_flag(long n)
{
	u8 message[] = { 7, n };
	struct order order;

	memcpy(&order, message, sizeof(order));
	return order.open;
}

static noinline struct box *take_box(long value)
{
	struct box *box = spare;

	spare = box->next;
	box->value = value;
	return box;
}

static noinline void return_box(struct box *box)
{
	box->next = spare;
	spare = box;
}

/* pool N: puts N into a box, and says what is in it, which is N, while another box is in use, too. */
static noinline long zoo_pool(long n)
{
	struct box *mine = take_box(n), *other;
	long result;

	return_box(mine);
	other = take_box(-1);
	result = mine->value;
	return_box(other);
	return result;
}

static const struct {
	const char *name;
	long (*visit)(long n);
} animals[] = {
	{ "heap", zoo_heap }, { "stack", zoo_stack }, { "global", zoo_global },
	{ "freed", zoo_freed }, { "twice", zoo_twice }, { "array", zoo_array },
	{ "shift", zoo_shift }, { "flag", zoo_flag }, { "pool", zoo_pool },
};

static long answer;

static ssize_t zoo_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char text[48], name[16];
	long number;
	int i;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = '\0';
	if (sscanf(text, "%15s %ld", name, &number) != 2)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(animals); i++) {
		if (!strcmp(animals[i].name, name)) {
			answer = animals[i].visit(number);
			return count;
		}
	}
	return -EINVAL;
}

static ssize_t zoo_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	char text[24];

	return simple_read_from_buffer(to, count, at, text, scnprintf(text, sizeof(text), "%ld\n", answer));
}

static const struct proc_ops zoo_ops = {
	.proc_read = zoo_read,
	.proc_write = zoo_write,
};

static int __init zoo_init(void)
{
	boxes[0].next = &boxes[1];
	spare = boxes;
	/* A cache of its own on every kernel, whose objects are as large as they are said to be. */
	cages = kmem_cache_create("zoo_cage", CAGE, 0, SLAB_NO_MERGE, NULL);
	if (!cages)
		return -ENOMEM;
	if (!proc_create("zoo", 0600, NULL, &zoo_ops)) {
		kmem_cache_destroy(cages);
		return -ENOMEM;
	}
	return 0;
}

static void __exit zoo_exit(void)
{
	remove_proc_entry("zoo", NULL);
	kmem_cache_destroy(cages); /* complains when an object is left */
}

module_init(zoo_init);
module_exit(zoo_exit);
MODULE_DESCRIPTION("klab: a zoo of mistakes");
MODULE_LICENSE("GPL");
