// SPDX-License-Identifier: GPL-2.0-only
/* Programs on the way of packets and connections; each changes what the sender sees. */
#include <linux/bpf.h>
#include <linux/netfilter.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "programs.h"

struct seen seen;

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

static __always_inline int count(int verdict)
{
	__sync_fetch_and_add(&seen.times, 1);
	return verdict;
}

SEC("?socket")
int socket_filter(struct __sk_buff *skb)
{
	return count(1); /* byte of the message that is left */
}

SEC("?xdp")
int xdp(struct xdp_md *ctx)
{
	return count(XDP_DROP);
}

SEC("?tc")
int tc(struct __sk_buff *skb)
{
	return count(TC_ACT_SHOT);
}

SEC("?tcx/ingress")
int tcx(struct __sk_buff *skb)
{
	return count(TCX_DROP);
}

SEC("?netfilter")
int netfilter(void *ctx)
{
	return count(NF_DROP);
}

SEC("?cgroup/connect4")
int cgroup(struct bpf_sock_addr *ctx)
{
	return count(0); /* refused */
}

SEC("?sk_lookup")
int sk_lookup(struct bpf_sk_lookup *ctx)
{
	__u32 first = 0;
	struct bpf_sock *listener = bpf_map_lookup_elem(&sockets, &first);

	if (listener) {
		bpf_sk_assign(ctx, listener, 0);
		bpf_sk_release(listener);
	}
	return count(SK_PASS);
}

SEC("?sk_msg")
int sockmap(struct sk_msg_md *msg)
{
	return count(SK_DROP);
}

char _license[] SEC("license") = "GPL";
