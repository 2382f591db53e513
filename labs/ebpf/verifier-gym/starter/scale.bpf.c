// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A program that is called by hand, with an order of work for its context. Eight numbers lie in the caller's
 * memory; `sum` becomes that of the numbers, each times the weight at its place in row `row`, modulo 2^32.
 * Returns 0; 2 when there is no such row, wherever the numbers lie; 1 when only the numbers cannot be read.
 * In both cases `sum` becomes 0.
 */
#include "gym.h"

#define NUMBERS 8

struct work {
	__u64 numbers; /* their address */
	__u32 row;
	__u32 sum;
};

struct row {
	__u32 weight[NUMBERS];
};

struct {
	NUMBER(type, BPF_MAP_TYPE_HASH);
	NUMBER(max_entries, 16);
	TYPE(key, __u32);
	TYPE(value, struct row);
} rows SEC(".maps");

SEC("syscall")
int scale(struct work *work)
{
	__u32 numbers[NUMBERS], key = work->row, sum = 0;
	struct row *row;
	int n, error = 2;

	bpf_rcu_read_lock();
	row = bpf_map_lookup_elem(&rows, &key);
	if (row) {
		error = !!bpf_copy_from_user(numbers, sizeof(numbers), (void *)work->numbers);
		for (n = 0; n < NUMBERS && !error; n++)
			sum += numbers[n] * row->weight[n];
	}
	bpf_rcu_read_unlock();
	work->sum = sum;
	return error;
}
