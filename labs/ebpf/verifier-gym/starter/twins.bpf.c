// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Two parts of 280 bytes each follow the header. Returns at how many of the 280 places they are alike;
 * where one of them is not complete, 0.
 */
#include "gym.h"

#define PART 280

static __attribute__((noinline)) int alike(struct xdp_md *ctx, const __u8 *first)
{
	__u8 second[PART];
	int n, same = 0;

	if (bpf_xdp_load_bytes(ctx, HEADER + PART, second, PART))
		return 0;
	for (n = 0; n < PART; n++)
		same += first[n] == second[n];
	return same;
}

SEC("xdp")
int twins(struct xdp_md *ctx)
{
	__u8 first[PART];

	if (bpf_xdp_load_bytes(ctx, HEADER, first, PART))
		return 0;
	return alike(ctx, first);
}
