// SPDX-License-Identifier: GPL-2.0-only
/*
 * allocx: what do the kernel's allocators really give?
 *
 * A command written to /proc/allocx takes memory and keeps it:
 *   kmalloc SIZE, kvmalloc SIZE, vmalloc SIZE
 *   pages SIZE    alloc_pages(), as few as SIZE needs
 *   atomic SIZE   kmalloc, from a place where sleeping is forbidden
 *   box 0         an object of the module's own cache, allocx_box
 *   free          gives all of it back
 * Reading gives a line for each memory that is kept, in the order of the commands:
 *   KIND SIZE USABLE LINEAR FRAME...
 * USABLE: bytes that may be used. LINEAR: 1 when the memory is one piece physically, by
 * the way it was made; else 0. FRAMEs: numbers of the physical pages behind the SIZE bytes
 * that were asked for, in the order of the addresses.
 */
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

static unsigned int box_size = 40;
module_param(box_size, uint, 0444);
static unsigned int box_align = 8;
module_param(box_align, uint, 0444);
static unsigned int constructed;
module_param(constructed, uint, 0444);
MODULE_PARM_DESC(constructed, "how often the constructor of allocx_box has run");

enum kind { KMALLOC, KVMALLOC, VMALLOC, PAGES, ATOMIC, BOX, KINDS };
static const char * const names[KINDS] = { "kmalloc", "kvmalloc", "vmalloc", "pages", "atomic", "box" };

struct holding {
	struct list_head node;
	enum kind kind;
	size_t size;
	void *at; /* the first byte */
};

static DEFINE_MUTEX(lock);
static LIST_HEAD(holdings);
static DEFINE_SPINLOCK(calm); /* who holds it must not sleep */

/* TODO: made in allocx_init, with box_size, box_align and a constructor that counts. */
static struct kmem_cache *boxes;

static void *take(enum kind kind, size_t size)
{
	void *at = NULL;

	switch (kind) {
	case ATOMIC:
		spin_lock(&calm);
		at = NULL; /* TODO: in here */
		spin_unlock(&calm);
		break;
	default: /* TODO: the others; of pages, the address of the first byte */
		break;
	}
	return at;
}

static void give_back(const struct holding *holding)
{
	/* TODO: each kind by its own function. */
}

static size_t usable(const struct holding *holding)
{
	return 0; /* TODO */
}

static bool linear(const struct holding *holding)
{
	return false; /* TODO: one question about the address answers it for all kinds */
}

static unsigned long frame(const struct holding *holding, const void *at)
{
	return 0; /* TODO: the frame behind the address `at` */
}

static int allocx_show(struct seq_file *to, void *unused)
{
	struct holding *holding;

	mutex_lock(&lock);
	list_for_each_entry(holding, &holdings, node) {
		void *at = (void *)((unsigned long)holding->at & PAGE_MASK);

		seq_printf(to, "%s %zu %zu %d", names[holding->kind], holding->size, usable(holding),
			   linear(holding));
		for (; at < holding->at + holding->size; at += PAGE_SIZE)
			seq_printf(to, " %lu", frame(holding, at));
		seq_putc(to, '\n');
	}
	mutex_unlock(&lock);
	return 0;
}

static int allocx_take(enum kind kind, size_t size)
{
	struct holding *holding = kzalloc(sizeof(*holding), GFP_KERNEL);

	if (!holding)
		return -ENOMEM;
	holding->kind = kind;
	holding->size = kind == BOX ? box_size : size;
	holding->at = take(kind, holding->size);
	if (!holding->at) {
		kfree(holding);
		return -ENOMEM;
	}
	mutex_lock(&lock);
	list_add_tail(&holding->node, &holdings);
	mutex_unlock(&lock);
	return 0;
}

static void free_all(void)
{
	struct holding *holding, *next;

	mutex_lock(&lock);
	list_for_each_entry_safe(holding, next, &holdings, node) {
		list_del(&holding->node);
		give_back(holding);
		kfree(holding);
	}
	mutex_unlock(&lock);
}

static ssize_t allocx_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char text[40], verb[12] = "";
	unsigned long size = 0;
	int words, kind, error;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = '\0';
	words = sscanf(text, "%11s %lu", verb, &size);
	if (words == 1 && !strcmp(verb, "free")) {
		free_all();
		return count;
	}
	kind = match_string(names, KINDS, verb);
	if (words != 2 || kind < 0 || (kind != BOX && !size))
		return -EINVAL;
	error = allocx_take(kind, size);
	return error ? error : count;
}

static int allocx_open(struct inode *inode, struct file *file)
{
	return single_open(file, allocx_show, NULL);
}

static const struct proc_ops allocx_ops = {
	.proc_open = allocx_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
	.proc_write = allocx_write,
};

static int __init allocx_init(void)
{
	/* TODO: the cache */
	return proc_create("allocx", 0600, NULL, &allocx_ops) ? 0 : -ENOMEM;
}

static void __exit allocx_exit(void)
{
	remove_proc_entry("allocx", NULL);
	free_all();
	/* TODO */
}

module_init(allocx_init);
module_exit(allocx_exit);
MODULE_DESCRIPTION("klab: what allocators give");
MODULE_LICENSE("GPL");
