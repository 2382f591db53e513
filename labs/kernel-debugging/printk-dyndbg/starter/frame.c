// SPDX-License-Identifier: GPL-2.0-only
/* Frames, as they come over the wire from a weighing machine. */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/printk.h>

#include "silo.h"

static noinline int decode(struct silo *silo, const u8 bytes[FRAME])
{
	u8 sum = bytes[0] + bytes[1];
	char text[TEXT];

	printk("silo %u: frame: %s\n", silo->number, silo_text(text, bytes));
	if (bytes[2] != sum || bytes[0] >= BINS) {
		printk("silo %u: bad frame for bin %u, sum %02x, not %02x\n", silo->number, bytes[0], bytes[2], sum);
		return -EINVAL;
	}
	printk("silo %u: sum %02x fits\n", silo->number, sum);
	silo_put(silo, bytes[0], bytes[1]);
	return 0;
}

int silo_frame(struct silo *silo, const u8 *bytes, size_t count)
{
	printk("silo %u: got %zu bytes\n", silo->number, count);
	if (count != FRAME) {
		printk("silo %u: a frame of %zu bytes, not %u\n", silo->number, count, FRAME);
		return -EINVAL;
	}
	return decode(silo, bytes);
}
