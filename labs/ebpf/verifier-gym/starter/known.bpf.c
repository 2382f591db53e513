// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Leaves in map `asked` what is known of a member: `known` is 0 when nobody has this number, else anything
 * but 0; `points` are the member's, 0 for nobody. Returns the points, too. Frames that are too short
 * return 0 and leave the map as it is.
 */
#include "gym.h"

struct answer {
	__u64 known;
	__u64 points;
};

struct {
	NUMBER(type, BPF_MAP_TYPE_HASH);
	NUMBER(max_entries, 64);
	TYPE(key, __u32);
	TYPE(value, __u32);
} members SEC(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, __u32);
	TYPE(value, struct answer);
} asked SEC(".maps");

SEC("xdp")
int known(struct xdp_md *ctx)
{
	__u32 *number = FRAME(ctx) + HEADER, member, zero = 0, *points;
	struct answer *answer;

	if ((void *)(number + 1) > END(ctx))
		return 0;
	member = *number;
	points = bpf_map_lookup_elem(&members, &member);
	answer = bpf_map_lookup_elem(&asked, &zero);
	if (!answer)
		return 0;
	answer->known = (__u64)points;
	answer->points = points ? *points : 0;
	return answer->points;
}
