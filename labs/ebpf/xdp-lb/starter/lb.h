/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the balancer and those who configure it agree upon. No libbpf is needed to build it, only to load it. */
#ifndef LB_H
#define LB_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <stddef.h>

#define SEC(name) __attribute__((section(name), used))
#define inline __attribute__((always_inline)) inline

/* A map is a variable whose type says what it is like; nobody ever reads its value. */
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, type) typeof(type) *name

#define BACK_ENDS 8

/* Addresses and ports are as they lie in a packet, everywhere. */
struct place {
	__u32 address;
	__u16 port;
	__u16 unused; /* 0 */
};

struct back_end {
	struct place place;
	__u32 up; /* 1: gets new connections; 0: keeps those that it has. An address of 0 is no back end at all. */
};

struct counts {
	__u64 connections; /* first SYNs that went there */
	__u64 packets; /* all that went there */
};

/* The service: one place, to which clients come. */
struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, __u32);
	TYPE(value, struct place);
} service SEC(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, BACK_ENDS);
	TYPE(key, __u32);
	TYPE(value, struct back_end);
} back_ends SEC(".maps");

/* Connections: a client's place, and the number of its back end. Who was not heard of for longest has to go. */
struct {
	NUMBER(type, BPF_MAP_TYPE_LRU_HASH);
	NUMBER(max_entries, 16384);
	TYPE(key, struct place);
	TYPE(value, __u32);
} connections SEC(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUMBER(max_entries, BACK_ENDS);
	TYPE(key, __u32);
	TYPE(value, struct counts);
} counted SEC(".maps");

/* Helpers have numbers, and are called as functions at the address of their number. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) =
	(void *)BPF_FUNC_map_update_elem;
static __s64 (*const bpf_csum_diff)(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __wsum seed) =
	(void *)BPF_FUNC_csum_diff;
static long (*const bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 size) =
	(void *)BPF_FUNC_skb_load_bytes;
static long (*const bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from, __u32 size,
					 __u64 flags) = (void *)BPF_FUNC_skb_store_bytes;
static long (*const bpf_l3_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 size) =
	(void *)BPF_FUNC_l3_csum_replace;
static long (*const bpf_l4_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags) =
	(void *)BPF_FUNC_l4_csum_replace;

#define htons(value) __builtin_bswap16(value)

char gpl[] SEC("license") = "GPL";

#endif
