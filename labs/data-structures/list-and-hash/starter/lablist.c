// SPDX-License-Identifier: GPL-2.0-only
/*
 * lablist: one set of items, in an order and by id.
 *
 * /proc/lablist/control takes one command a write:
 *   add ID WEIGHT   a new item at the end of the order; -EEXIST when ID is there
 *   del ID          -ENOENT when it is not there
 *   front ID        move the item to the front of the order; -ENOENT
 *   sort            order by weight, the smallest first; equal weights keep their order
 *   find ID         0 when it is there, else -ENOENT; looks through the hash table
 * /proc/lablist/list shows the items in their order, /proc/lablist/hash those of the
 * hash table in any order; each line is "ID WEIGHT".
 */
#include <linux/hashtable.h>
#include <linux/init.h>
#include <linux/list.h>
#include <linux/list_sort.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

struct item {
	u32 id;
	u32 weight;
	struct list_head node; /* its place in the order */
	struct hlist_node link; /* its place in the hash table */
};

static LIST_HEAD(items);
static DEFINE_HASHTABLE(table, 6);

/* Items come from here. It tells at unload when one was not given back. */
static struct kmem_cache *cache;

/* TODO: several programs write and read at once. What protects both structures together? */

static int item_add(u32 id, u32 weight)
{
	return -ENOSYS; /* TODO */
}

static int item_del(u32 id)
{
	return -ENOSYS; /* TODO */
}

static int item_front(u32 id)
{
	return -ENOSYS; /* TODO */
}

static int items_sort(void)
{
	return -ENOSYS; /* TODO: list_sort() */
}

static int item_find(u32 id)
{
	return -ENOSYS; /* TODO */
}

static int list_show(struct seq_file *to, void *unused)
{
	struct item *item;

	list_for_each_entry(item, &items, node)
		seq_printf(to, "%u %u\n", item->id, item->weight);
	return 0;
}

static int hash_show(struct seq_file *to, void *unused)
{
	struct item *item;
	int bucket;

	hash_for_each(table, bucket, item, link)
		seq_printf(to, "%u %u\n", item->id, item->weight);
	return 0;
}

/* All items, when the module goes. */
static void items_free(void)
{
	/* TODO */
}

static ssize_t control_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char text[64], verb[8] = "";
	u32 id = 0, weight = 0;
	int words, error = -EINVAL;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = '\0';
	words = sscanf(text, "%7s %u %u", verb, &id, &weight);

	if (words == 3 && !strcmp(verb, "add"))
		error = item_add(id, weight);
	else if (words == 2 && !strcmp(verb, "del"))
		error = item_del(id);
	else if (words == 2 && !strcmp(verb, "front"))
		error = item_front(id);
	else if (words == 2 && !strcmp(verb, "find"))
		error = item_find(id);
	else if (words == 1 && !strcmp(verb, "sort"))
		error = items_sort();
	return error ? error : count;
}

static const struct proc_ops control_ops = {
	.proc_write = control_write,
};

static int __init lablist_init(void)
{
	struct proc_dir_entry *folder;

	cache = kmem_cache_create("lablist_item", sizeof(struct item), 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	folder = proc_mkdir("lablist", NULL);
	if (!folder || !proc_create("control", 0200, folder, &control_ops) ||
	    !proc_create_single("list", 0444, folder, list_show) ||
	    !proc_create_single("hash", 0444, folder, hash_show)) {
		remove_proc_subtree("lablist", NULL);
		kmem_cache_destroy(cache);
		return -ENOMEM;
	}
	return 0;
}

static void __exit lablist_exit(void)
{
	remove_proc_subtree("lablist", NULL); /* waits for whoever is inside */
	items_free();
	kmem_cache_destroy(cache);
}

module_init(lablist_init);
module_exit(lablist_exit);
MODULE_DESCRIPTION("klab: one set of items on a list and in a hash table");
MODULE_LICENSE("GPL");
