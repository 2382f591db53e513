// SPDX-License-Identifier: GPL-2.0-only
/* Removes an entry whose neighbour points elsewhere; all of it is this module's own. */
#include <linux/list.h>
#include <linux/module.h>

static LIST_HEAD(head);
static struct list_head entry, stranger;

static int __init probe_init(void)
{
	INIT_LIST_HEAD(&stranger);
	list_add(&entry, &head);
	head.next = &stranger;
	list_del(&entry);
	INIT_LIST_HEAD(&head);
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("klab: corrupted list");
MODULE_LICENSE("GPL");
