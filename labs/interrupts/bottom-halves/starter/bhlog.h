/* SPDX-License-Identifier: GPL-2.0-only */
/* The work that is deferred, and the log of where it ran: bhlog's side of the lab. */
#ifndef BHLOG_H
#define BHLOG_H

#include <linux/types.h>

/* The ways to defer work. A cause of the first edu device is BIT(kind), for all but the last. */
enum bh_kind {
	BH_TASKLET,   /* a tasklet */
	BH_SOFT_WORK, /* a work item on a BH workqueue */
	BH_WORK,      /* a work item on a normal, per-CPU workqueue */
	BH_HIGHPRI,   /* on a high-priority per-CPU workqueue */
	BH_UNBOUND,   /* on an unbound workqueue */
	BH_DELAYED,   /* a delayed work item */
	BH_THREAD,    /* the threaded handler of the second edu device */
	BH_KINDS,
};

/* Called by the hard interrupt handler, first of all: these causes have come. */
void bhlog_event(u32 causes);

/*
 * The work itself. It writes a line to /proc/bhlog: who runs it, and in which context.
 * When it may sleep it does, for as long as the parameter nap_ms of bhlog says.
 */
void bhlog_run(enum bh_kind kind, bool may_sleep);

#endif
