/* SPDX-License-Identifier: GPL-2.0-only */
/* What the depot is made of. Nothing to do here. */
#ifndef DEPOT_H
#define DEPOT_H

#include <linux/types.h>

#define CITY 64 /* bytes, with the zero at its end */

enum place {
	PLACE_SHELF,
	PLACE_BELT,
	PLACE_VAULT,
};

struct parcel {
	u32 id;
	u32 grams;
	enum place place; /* of one that was sorted */
	char city[CITY];
};

/* The seal of a parcel. It takes long, and each call is counted. */
u32 depot_seal(const struct parcel *parcel);

#endif
