// SPDX-License-Identifier: GPL-2.0-only
/*
 * index: two ordered stores of items, in /sys/kernel/debug/index.
 *
 * A tree of KEY VALUE pairs, and an array that gives out ids for values. Both numbers are
 * u32. The file control takes commands, several in one write with ';' between them; the
 * first that fails ends the write with its error:
 *   insert KEY VALUE  -EEXIST when KEY is there
 *   erase KEY         -ENOENT when it is not there
 *   next KEY VALUE    answers the item with the smallest key >= KEY whose value >= VALUE
 *   range LO HI       what the file range shows; at first all
 *   new VALUE         takes the smallest free id of 1 to limit and answers it; -EBUSY when
 *                     there is none
 *   put ID VALUE      takes exactly this id, which may be beyond limit; -EEXIST, -EINVAL for 0
 *   drop ID           gives the id back; -ENOENT
 *   mark ID, unmark ID  -ENOENT; a new item has no mark
 *   sweep             drops all that is marked, and answers how many that were
 * answer has the last answer. range shows "KEY VALUE" lines of the tree, ids all "ID VALUE"
 * lines of the array, marked only the marked ones; all in ascending order.
 */
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/rbtree_augmented.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

struct item {
	struct rb_node rb;
	u32 key;
	u32 value;
	u32 max; /* TODO: the greatest value in the subtree below this item */
};

static unsigned int limit = 100;
module_param(limit, uint, 0444);
MODULE_PARM_DESC(limit, "the greatest id that `new` gives out");

/* Held around each command and each view: this lab is not about locks. */
static DEFINE_MUTEX(lock);

/* Items come from here. It tells at unload when one was not given back. */
static struct kmem_cache *cache;

static struct rb_root tree = RB_ROOT;
static u32 low, high = U32_MAX;

static DEFINE_XARRAY_ALLOC1(ids);

static struct item *item_new(u32 key, u32 value)
{
	struct item *item = kmem_cache_zalloc(cache, GFP_KERNEL);

	if (item) {
		item->key = key;
		item->value = item->max = value;
	}
	return item;
}

static int tree_insert(u32 key, u32 value)
{
	return -ENOSYS; /* TODO */
}

static int tree_erase(u32 key)
{
	return -ENOSYS; /* TODO */
}

/* The answer to `next`, or NULL. TODO: in steps that grow with the tree's height, not its size. */
static struct item *tree_next(u32 key, u32 value)
{
	return NULL;
}

static int range_show(struct seq_file *to, void *unused)
{
	/* TODO: from low to high, without looking at what is before or behind. */
	return 0;
}

/* Each returns an error below 0; id_new the id, ids_sweep the number. */
static long id_new(u32 value)
{
	return -ENOSYS; /* TODO */
}

static int id_put(u32 id, u32 value)
{
	return -ENOSYS; /* TODO */
}

static int id_drop(u32 id)
{
	return -ENOSYS; /* TODO */
}

static int id_mark(u32 id, bool on)
{
	return -ENOSYS; /* TODO: XA_MARK_1 */
}

static long ids_sweep(void)
{
	return -ENOSYS; /* TODO */
}

static int ids_show(struct seq_file *to, void *unused)
{
	return 0; /* TODO */
}

static int marked_show(struct seq_file *to, void *unused)
{
	return 0; /* TODO */
}

/* All items of both stores, when the module goes. */
static void free_all(void)
{
	/* TODO */
}

static char answer[32] = "none";

static int answer_show(struct seq_file *to, void *unused)
{
	seq_printf(to, "%s\n", answer);
	return 0;
}

static long answered(long number)
{
	if (number >= 0)
		scnprintf(answer, sizeof(answer), "%ld", number);
	return number < 0 ? number : 0;
}

static long command(const char *text)
{
	char verb[8] = "";
	u32 a = 0, b = 0;
	int words = sscanf(text, "%7s %u %u", verb, &a, &b);

	if (words == 3 && !strcmp(verb, "insert"))
		return tree_insert(a, b);
	if (words == 2 && !strcmp(verb, "erase"))
		return tree_erase(a);
	if (words == 3 && !strcmp(verb, "next")) {
		struct item *item = tree_next(a, b);

		if (item)
			scnprintf(answer, sizeof(answer), "%u %u", item->key, item->value);
		else
			strscpy(answer, "none", sizeof(answer));
		return 0;
	}
	if (words == 3 && !strcmp(verb, "range")) {
		low = a;
		high = b;
		return 0;
	}
	if (words == 2 && !strcmp(verb, "new"))
		return answered(id_new(a));
	if (words == 3 && !strcmp(verb, "put"))
		return a ? id_put(a, b) : -EINVAL;
	if (words == 2 && !strcmp(verb, "drop"))
		return id_drop(a);
	if (words == 2 && !strcmp(verb, "mark"))
		return id_mark(a, true);
	if (words == 2 && !strcmp(verb, "unmark"))
		return id_mark(a, false);
	if (words == 1 && !strcmp(verb, "sweep"))
		return answered(ids_sweep());
	return -EINVAL;
}

static ssize_t control_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char *text, *rest, *one;
	long error = 0;

	if (count >= PAGE_SIZE)
		return -E2BIG;
	text = rest = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	mutex_lock(&lock);
	while (!error && (one = strsep(&rest, ";")))
		error = command(one);
	mutex_unlock(&lock);
	kfree(text);
	return error ? error : count;
}

static const struct file_operations control_ops = {
	.owner = THIS_MODULE,
	.write = control_write,
};

/* The views; each in one piece under the lock. */
#define VIEW(name)								\
static int name##_view_show(struct seq_file *to, void *unused)			\
{										\
	int error;								\
										\
	mutex_lock(&lock);							\
	error = name##_show(to, unused);					\
	mutex_unlock(&lock);							\
	return error;								\
}										\
DEFINE_SHOW_ATTRIBUTE(name##_view)

VIEW(answer);
VIEW(range);
VIEW(ids);
VIEW(marked);

static struct dentry *folder;

static int __init index_init(void)
{
	cache = kmem_cache_create("index_item", sizeof(struct item), 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	/* debugfs is an aid: its errors are no reason to fail. */
	folder = debugfs_create_dir("index", NULL);
	debugfs_create_file("control", 0200, folder, NULL, &control_ops);
	debugfs_create_file("answer", 0444, folder, NULL, &answer_view_fops);
	debugfs_create_file("range", 0444, folder, NULL, &range_view_fops);
	debugfs_create_file("ids", 0444, folder, NULL, &ids_view_fops);
	debugfs_create_file("marked", 0444, folder, NULL, &marked_view_fops);
	return 0;
}

static void __exit index_exit(void)
{
	debugfs_remove(folder); /* waits for whoever is inside */
	free_all();
	kmem_cache_destroy(cache);
}

module_init(index_init);
module_exit(index_exit);
MODULE_DESCRIPTION("klab: two ordered indexes");
MODULE_LICENSE("GPL");
