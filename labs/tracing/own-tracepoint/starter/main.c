// SPDX-License-Identifier: GPL-2.0-only
/*
 * depot: parcels are written to /proc/depot, one a line (id, grams, city), and sorted. Reading it gives the
 * log: where each one is, or why it was refused. `again ID` sorts a parcel of the log once more.
 */
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "depot.h"

/* TODO: in one file of the module, and only there, the events are not just declared, but made. */
#include "depot-trace.h"

#define LOG 256
#define HEAVY 30000 /* grams */

static struct entry {
	struct parcel parcel;
	int error;
} entries[LOG];
static unsigned int logged;
static DEFINE_MUTEX(lock);

/* Where it goes; 0, or why it is refused. */
static int choose(struct parcel *parcel)
{
	if (!parcel->grams)
		return -EINVAL;
	if (parcel->grams > HEAVY)
		return -EFBIG;
	if (strlen(parcel->city) > CITY / 2)
		parcel->place = PLACE_VAULT;
	else
		parcel->place = parcel->grams > HEAVY / 2 ? PLACE_SHELF : PLACE_BELT;
	return 0;
}

static void take(struct parcel *parcel)
{
	struct entry *entry = &entries[logged % LOG];

	entry->error = choose(parcel);
	entry->parcel = *parcel;
	logged++;
	/* TODO: parcel_sorted for one that has a place, parcel_refused for one that was refused. */
}

static void again(u32 id)
{
	unsigned int n;

	for (n = 0; n < min(logged, LOG); n++) {
		if (entries[n].parcel.id != id || entries[n].error)
			continue;
		entries[n].parcel.place = PLACE_SHELF;
		/* TODO: it was sorted, too. */
		return;
	}
}

static ssize_t depot_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char *text = memdup_user_nul(from, min_t(size_t, count, SZ_64K)), *rest = text, *line;

	if (IS_ERR(text))
		return PTR_ERR(text);
	mutex_lock(&lock);
	while ((line = strsep(&rest, "\n"))) {
		struct parcel parcel = { };
		u32 id;

		if (sscanf(line, "again %u", &id) == 1)
			again(id);
		else if (sscanf(line, "%u %u %63s", &parcel.id, &parcel.grams, parcel.city) == 3)
			take(&parcel);
	}
	mutex_unlock(&lock);
	kfree(text);
	return count;
}

static int depot_show(struct seq_file *log, void *unused)
{
	unsigned int n;

	mutex_lock(&lock);
	for (n = 0; n < min(logged, LOG); n++)
		seq_printf(log, "%u %u %s %d %d\n", entries[n].parcel.id, entries[n].parcel.grams,
			   entries[n].parcel.city, entries[n].parcel.place, entries[n].error);
	mutex_unlock(&lock);
	return 0;
}

static int depot_open(struct inode *inode, struct file *file)
{
	return single_open(file, depot_show, NULL);
}

static const struct proc_ops depot_ops = {
	.proc_open = depot_open,
	.proc_read = seq_read,
	.proc_write = depot_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init depot_init(void)
{
	return proc_create("depot", 0600, NULL, &depot_ops) ? 0 : -ENOMEM;
}

static void __exit depot_exit(void)
{
	remove_proc_entry("depot", NULL);
}

module_init(depot_init);
module_exit(depot_exit);
MODULE_DESCRIPTION("klab: a depot without instruments");
MODULE_LICENSE("GPL");
