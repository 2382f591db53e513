/* SPDX-License-Identifier: GPL-2.0-only */
/* What the ship is made of. Nothing to do here; the grader brings its own. */
#ifndef PARTS_H
#define PARTS_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/types.h>

#include "names.h"

struct part {
	char ballast[24];
	unsigned int weight;
	atomic_t uses;
};

struct hull {
	char planks[HULL];
	atomic_t leaks;
};

struct crate {
	char label[16];
	struct part *part;
	unsigned int stamp;
};

/* The compiler puts it into whoever calls it. */
static __always_inline unsigned int WEIGHT_FN(const struct part *part)
{
	return READ_ONCE(part->weight); /* here: freed */
}

#endif
