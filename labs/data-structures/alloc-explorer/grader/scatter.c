// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaves free pages of odd numbers only, between reserved ones: what is one piece only virtually then lies
 * scattered, and whoever adds on from the first frame comes to a page that /proc/kpageflags knows.
 */
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/module.h>

#define PAGES 4000

static struct page *held[PAGES];

static int __init scatter_init(void)
{
	unsigned int n;

	for (n = 0; n < PAGES; n++) {
		held[n] = alloc_page(GFP_KERNEL | __GFP_NOWARN);
		if (held[n] && !(page_to_pfn(held[n]) & 1))
			SetPageReserved(held[n]);
	}
	for (n = 0; n < PAGES; n++) {
		if (held[n] && !PageReserved(held[n])) {
			__free_page(held[n]);
			held[n] = NULL;
		}
	}
	return 0;
}

static void __exit scatter_exit(void)
{
	unsigned int n;

	for (n = 0; n < PAGES; n++) {
		if (held[n]) {
			ClearPageReserved(held[n]);
			__free_page(held[n]);
		}
	}
}

module_init(scatter_init);
module_exit(scatter_exit);
MODULE_DESCRIPTION("klab: free pages, scattered");
MODULE_LICENSE("GPL");
