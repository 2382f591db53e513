// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What an order costs: its amount times the price of its item, modulo 2^32. An item without a price costs
 * as much as item 0. Where that has none either, and for frames that are too short: 0.
 */
#include "gym.h"

struct order {
	__u32 item;
	__u32 amount;
} __attribute__((packed));

struct {
	NUMBER(type, BPF_MAP_TYPE_HASH);
	NUMBER(max_entries, 64);
	TYPE(key, __u32);
	TYPE(value, __u32);
} prices SEC(".maps");

SEC("xdp")
int price(struct xdp_md *ctx)
{
	struct order *order = FRAME(ctx) + HEADER;
	__u32 item, *each;

	if ((void *)(order + 1) > END(ctx))
		return 0;
	item = order->item;
	each = bpf_map_lookup_elem(&prices, &item);
	if (!each) {
		item = 0;
		each = bpf_map_lookup_elem(&prices, &item);
	}
	return *each * order->amount;
}
