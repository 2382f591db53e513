// SPDX-License-Identifier: GPL-2.0-only
/* A congestion control that never backs off: struct_ops, as the kernel had them first. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "programs.h"

struct sock;

/* The members that are used; libbpf finds them by name in the running kernel's types. */
struct tcp_congestion_ops {
	void (*init)(struct sock *sk);
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

struct seen seen;

SEC("struct_ops")
int init(void *ctx)
{
	__sync_fetch_and_add(&seen.times, 1);
	return 0;
}

/* Not one for both: libbpf wants a program for each place. */
SEC("struct_ops")
int ssthresh(void *ctx)
{
	return 10;
}

SEC("struct_ops")
int undo_cwnd(void *ctx)
{
	return 10;
}

SEC("struct_ops")
int cong_avoid(void *ctx)
{
	return 0;
}

SEC(".struct_ops.link")
struct tcp_congestion_ops ops = {
	.init = (void *)init,
	.ssthresh = (void *)ssthresh,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
	.name = "klab",
};

char _license[] SEC("license") = "GPL";
