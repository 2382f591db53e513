/* SPDX-License-Identifier: GPL-2.0-only */
/* What lifecore offers to other modules. */
#ifndef LIFECORE_H
#define LIFECORE_H

/* Take one of the units. 0, or -ENOSPC when none is left. */
int lifecore_take(void);

/* Give one unit back. */
void lifecore_give(void);

#endif
