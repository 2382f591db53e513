/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the meter asks for. meter.c calls these three; answers.c has them. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include <stdint.h>
#include <bpf/libbpf.h>

#define DEVICES 3 /* null, zero, full */
#define WHENCES 5 /* SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE */
#define SLOTS 64

struct answers {
	uint64_t seeks[DEVICES][WHENCES]; /* how many of each class */
	uint64_t slots[SLOTS]; /* 0: offset 0; N: offsets from 2^(N-1) up to 2^N, without that */
	uint64_t farthest[DEVICES]; /* the largest offset on each device; 0 when there was none */
};

/* The object is loaded, and nothing attached yet. Each returns 0, or -1 for an error. */
int answers_begin(struct bpf_object *object);
/* Called every few milliseconds while the crowd runs. */
int answers_poll(void);
/* The program is detached; `answers` is all zeroes. */
int answers_end(struct bpf_object *object, struct answers *answers);

#endif
