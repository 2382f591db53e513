// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Counts visits by gate and visitor, and returns how many this one makes; 0 for frames that are too short.
 * Other programs read the map, too, and they expect its keys as they are: 8 bytes, 0 where nothing stands.
 */
#include "gym.h"

struct visit {
	__u8 gate;
	__u32 visitor;
} __attribute__((packed));

struct who {
	__u8 gate;
	__u32 visitor;
};

struct {
	NUMBER(type, BPF_MAP_TYPE_HASH);
	NUMBER(max_entries, 256);
	TYPE(key, struct who);
	TYPE(value, __u32);
} visited SEC(".maps");

SEC("xdp")
int visits(struct xdp_md *ctx)
{
	struct visit *visit = FRAME(ctx) + HEADER;
	struct who who;
	__u32 once = 1, *times;

	if ((void *)(visit + 1) > END(ctx))
		return 0;
	who.gate = visit->gate;
	who.visitor = visit->visitor;
	times = bpf_map_lookup_elem(&visited, &who);
	if (times)
		return ++*times;
	bpf_map_update_elem(&visited, &who, &once, BPF_ANY);
	return once;
}
