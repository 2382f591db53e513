// SPDX-License-Identifier: GPL-2.0-only
/* The seal of a parcel, and how often it was asked for. Nothing to do here. */
#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>

#include "depot.h"

static atomic_t made = ATOMIC_INIT(0);

static int seals_get(char *buffer, const struct kernel_param *param)
{
	return sprintf(buffer, "%d\n", atomic_read(&made));
}

static const struct kernel_param_ops seals_ops = { .get = seals_get };
module_param_cb(seals, &seals_ops, NULL, 0444);
MODULE_PARM_DESC(seals, "how often a seal was made");

u32 depot_seal(const struct parcel *parcel)
{
	u32 seal = parcel->id ^ parcel->grams;
	const char *c;

	atomic_inc(&made);
	for (c = parcel->city; *c; c++)
		seal = (seal ^ (u8)*c) * 16777619;
	return seal;
}
