/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the ten programs share: no libbpf is needed to build them, only to load them. */
#ifndef GYM_H
#define GYM_H

#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))
#define NULL ((void *)0)

/* A map is a variable whose type says what it is like; nobody ever reads its value. */
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, type) typeof(type) *name

/* An Ethernet header comes first in each frame; what the programs read lies behind it. */
#define HEADER 14

/* Helpers have numbers, and are called as functions at the address of their number. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) =
	(void *)BPF_FUNC_map_update_elem;
static void *(*const bpf_ringbuf_reserve)(void *ring, __u64 size, __u64 flags) =
	(void *)BPF_FUNC_ringbuf_reserve;
static void (*const bpf_ringbuf_submit)(void *record, __u64 flags) = (void *)BPF_FUNC_ringbuf_submit;
static void (*const bpf_ringbuf_discard)(void *record, __u64 flags) = (void *)BPF_FUNC_ringbuf_discard;
static long (*const bpf_copy_from_user)(void *to, __u32 size, const void *from) =
	(void *)BPF_FUNC_copy_from_user;
static long (*const bpf_xdp_load_bytes)(struct xdp_md *ctx, __u32 offset, void *to, __u32 size) =
	(void *)BPF_FUNC_xdp_load_bytes;

/* These two are functions of the kernel's own; the loader finds them by their names. */
extern void bpf_rcu_read_lock(void) __attribute__((section(".ksyms")));
extern void bpf_rcu_read_unlock(void) __attribute__((section(".ksyms")));

/* Where the frame of a struct xdp_md or __sk_buff starts and ends: the verifier knows these loads. */
#define FRAME(ctx) ((void *)(long)(ctx)->data)
#define END(ctx) ((void *)(long)(ctx)->data_end)

/* Some functions of the kernel are for GPL programs only. */
char gpl[] SEC("license") = "GPL";

#endif
