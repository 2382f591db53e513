/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of silo know of each other. */
#ifndef SILO_H
#define SILO_H

#include <linux/device.h>
#include <linux/types.h>

#define SILOS 2
#define BINS 8
#define ROOM 100 /* of each bin */
#define FRAME 3 /* bytes: bin, amount, and the sum of both */
#define TEXT 32 /* characters of a frame's description */

struct silo {
	struct device *dev;
	unsigned int number;
	unsigned int held[BINS];
};

/* frame.c: bytes from the wire. 0, or -EINVAL when they are no frame. */
int silo_frame(struct silo *silo, const u8 *bytes, size_t count);

/* main.c: something is put into a bin; what has no room is left out. */
void silo_put(struct silo *silo, unsigned int bin, unsigned int amount);

/* text.c: what a frame says, written to `to`, which is returned. It takes its time. */
const char *silo_text(char to[TEXT], const u8 bytes[FRAME]);

#endif
