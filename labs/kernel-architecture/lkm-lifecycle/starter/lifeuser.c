// SPDX-License-Identifier: GPL-2.0-only
/* lifeuser: takes `take` units from lifecore when it is loaded, and gives them back when it goes. */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "lifecore.h"

static unsigned int take = 1;
module_param(take, uint, 0444);
MODULE_PARM_DESC(take, "units to take");

static int __init lifeuser_init(void)
{
	/* TODO: all of them or none: on an error give back what was taken, and return the error. */
	return 0;
}

static void __exit lifeuser_exit(void)
{
	/* TODO */
}

module_init(lifeuser_init);
module_exit(lifeuser_exit);
MODULE_DESCRIPTION("klab: takes units from lifecore");
MODULE_LICENSE("GPL");
