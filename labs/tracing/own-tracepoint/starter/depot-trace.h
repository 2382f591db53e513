/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The events of the depot, in the folder events/depot of tracefs. Fields are in this order:
 *
 * parcel_sorted: each time that a parcel is given a place. The fields are id (u32), grams (u32), place (u8)
 *	and city, a string that takes as many bytes as it has. As text, in every tool:
 *	id=7 grams=1200 place=BELT city=Turku
 * parcel_refused: each time that one is refused, and never else: that is a condition of the event, so that
 *	it can stand where all parcels come by. The fields are id (u32), error (int, below 0) and seal
 *	(u32), which depot_seal() makes, but not for nobody. As text:
 *	id=8 error=-27 seal=00c0ffee
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM depot

#if !defined(DEPOT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DEPOT_TRACE_H

#include <linux/tracepoint.h>

#include "depot.h"

/* TODO: the events, and what tools outside of the kernel have to be told of enum place. */

#endif

/* What follows is outside of the guard on purpose: this file is read again and again. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE depot-trace
#include <trace/define_trace.h>
