// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Sees each lseek() on /dev/null, /dev/zero and /dev/full (minor numbers 3, 5 and 7 of major number 1).
 * It is right, and it is expensive.
 */
#include "seeks.h"

#define NAME 32

struct kind {
	char device[NAME];
	__u32 whence;
};

struct tally {
	struct bpf_spin_lock lock;
	__u64 seeks;
};

struct record {
	char device[NAME];
	__u64 offset;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct kind);
	__type(value, struct tally);
} kinds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct tally);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} records SEC(".maps");

__u64 lost;

static void add(void *map, const void *key)
{
	struct tally *tally = bpf_map_lookup_elem(map, key), none = {};

	if (!tally) {
		/* Somebody else may be faster: then theirs counts. */
		bpf_map_update_elem(map, key, &none, BPF_NOEXIST);
		tally = bpf_map_lookup_elem(map, key);
		if (!tally)
			return;
	}
	bpf_spin_lock(&tally->lock);
	tally->seeks++;
	bpf_spin_unlock(&tally->lock);
}

SEC("fentry/null_lseek")
int BPF_PROG(seeks, struct file *file, __u64 offset, int whence)
{
	const unsigned char *name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	struct kind kind = { .whence = whence };
	struct record *record;
	__u32 slot = 0;

	bpf_probe_read_kernel_str(kind.device, NAME, name);
	add(&kinds, &kind);

	while (slot < 63 && offset >> slot)
		slot++;
	add(&slots, &slot);

	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	bpf_probe_read_kernel_str(record->device, NAME, name);
	record->offset = offset;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

char gpl[] SEC("license") = "GPL";
