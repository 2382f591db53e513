// SPDX-License-Identifier: GPL-3.0-or-later
/* What the maps of seeks.bpf.c make together. */
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include "answers.h"

#define NAME 32

/* As in seeks.bpf.c. */
struct kind {
	char device[NAME];
	uint32_t whence;
};

struct tally {
	uint32_t lock;
	uint64_t seeks;
};

struct record {
	char device[NAME];
	uint64_t offset;
};

static struct ring_buffer *ring;
static uint64_t farthest[DEVICES];

static int number(const char *device)
{
	static const char *const names[DEVICES] = { "null", "zero", "full" };

	for (int n = 0; n < DEVICES; n++) {
		if (!strcmp(device, names[n]))
			return n;
	}
	return -1;
}

static int map(struct bpf_object *object, const char *name)
{
	return bpf_object__find_map_fd_by_name(object, name);
}

static int take(void *context, void *data, size_t size)
{
	const struct record *record = data;
	int device = number(record->device);

	(void)context;
	(void)size;
	if (device >= 0 && record->offset > farthest[device])
		farthest[device] = record->offset;
	return 0;
}

int answers_begin(struct bpf_object *object)
{
	ring = ring_buffer__new(map(object, "records"), take, NULL, NULL);
	return ring ? 0 : -1;
}

int answers_poll(void)
{
	return ring_buffer__consume(ring) < 0 ? -1 : 0;
}

int answers_end(struct bpf_object *object, struct answers *answers)
{
	int kinds = map(object, "kinds"), slots = map(object, "slots");
	struct kind kind, *last_kind = NULL;
	uint32_t slot, *last_slot = NULL;
	struct tally tally;

	if (answers_poll())
		return -1;
	ring_buffer__free(ring);
	memcpy(answers->farthest, farthest, sizeof(farthest));
	for (; !bpf_map_get_next_key(kinds, last_kind, &kind); last_kind = &kind) {
		int device = number(kind.device);

		if (bpf_map_lookup_elem(kinds, &kind, &tally))
			return -1;
		if (device >= 0 && kind.whence < WHENCES)
			answers->seeks[device][kind.whence] = tally.seeks;
	}
	for (; !bpf_map_get_next_key(slots, last_slot, &slot); last_slot = &slot) {
		if (bpf_map_lookup_elem(slots, &slot, &tally))
			return -1;
		if (slot < SLOTS)
			answers->slots[slot] = tally.seeks;
	}
	return 0;
}
