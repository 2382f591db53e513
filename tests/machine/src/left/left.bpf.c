// SPDX-License-Identifier: GPL-2.0
/* Programs that do nothing, to be left behind. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("xdp")
int left_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int left_tc(struct __sk_buff *skb)
{
	return 0;
}

SEC("cgroup_skb/ingress")
int left_cgroup(struct __sk_buff *skb)
{
	return 1;
}
