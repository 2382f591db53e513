// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Hands readings over to user space, in the order in which they come. One whose check is not its meter XOR
 * its value is not handed over. Returns how many were: 1 or 0; for frames that are too short 0, too.
 */
#include "gym.h"

struct reading {
	__u32 meter;
	__u32 value;
	__u32 check;
} __attribute__((packed));

struct record {
	__u32 meter;
	__u32 value;
};

struct {
	NUMBER(type, BPF_MAP_TYPE_RINGBUF);
	NUMBER(max_entries, 4096);
} records SEC(".maps");

SEC("xdp")
int report(struct xdp_md *ctx)
{
	struct reading *reading = FRAME(ctx) + HEADER;
	struct record *record;

	if ((void *)(reading + 1) > END(ctx))
		return 0;
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record)
		return 0;
	record->meter = reading->meter;
	record->value = reading->value;
	if ((record->meter ^ record->value) != reading->check)
		return 0;
	bpf_ringbuf_submit(record, 0);
	return 1;
}
