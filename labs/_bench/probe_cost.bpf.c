// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Three programs at one place: what a probe costs that does nothing, counts, and hands over a record.
 *
 * Nobody but lseek() on /dev/null, zero and full comes to null_lseek(), so the runs are the loop's own. It is
 * called by its address alone, so no compiler makes it a part of its caller.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define RING (1 << 18)

struct file;

struct record {
	__u64 offset;
	__u64 whence;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING);
} records SEC(".maps");

__u64 dropped;

SEC("fentry/null_lseek")
int BPF_PROG(empty)
{
	return 0;
}

SEC("fentry/null_lseek")
int BPF_PROG(map)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&counts, &zero);

	if (count)
		++*count;
	return 0;
}

SEC("fentry/null_lseek")
int BPF_PROG(ring, struct file *file, __u64 offset, int whence)
{
	struct record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		__sync_fetch_and_add(&dropped, 1);
		return 0;
	}
	record->offset = offset;
	record->whence = whence;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

char gpl[] SEC("license") = "GPL";
