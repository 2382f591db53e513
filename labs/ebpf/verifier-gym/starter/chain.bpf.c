// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Follows a chain of links through a frame. Each link says where in the frame the next one lies; the last one
 * says 0. The first one lies behind the header. Returns what the links' values make, in their order: 31 times
 * what came before, plus the value, modulo 2^32. A link outside of the frame ends the chain, too, and so does
 * the hundredth link, wherever it leads.
 */
#include "gym.h"

struct link {
	__u16 next;
	__u16 value;
};

SEC("xdp")
int chain(struct xdp_md *ctx)
{
	__u32 at = HEADER, made = 0;
	struct link link;

	while (at && !bpf_xdp_load_bytes(ctx, at, &link, sizeof(link))) {
		made = 31 * made + link.value;
		at = link.next;
	}
	return made;
}
