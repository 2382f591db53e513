// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Returns the word of 32 bits behind the options. The byte behind the header has in its lower half how many
 * options follow, of 4 bytes each. Where the frame ends before the word does: 0.
 */
#include "gym.h"

#define OPTION 4

SEC("xdp")
int option(struct xdp_md *ctx)
{
	__u8 *count = FRAME(ctx) + HEADER;
	__u32 *word;

	if ((void *)(count + 1) > END(ctx))
		return 0;
	word = (void *)(count + 1) + (*count & 0xf) * OPTION;
	if ((void *)word >= END(ctx))
		return 0;
	return *word;
}
