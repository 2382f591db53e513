// SPDX-License-Identifier: GPL-2.0-only
/* The side in the kernel: programs at hooks of the kernel's security modules. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "shared.h"

#define EPERM 1

char gpl[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} ring SEC(".maps");

/* Tell of a forbidden act, and say what becomes of it. */
static int forbidden(enum act act)
{
	struct event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);

	if (event) {
		event->act = act;
		event->pid = bpf_get_current_pid_tgid() >> 32;
		event->denied = 0;
		bpf_get_current_comm(event->comm, sizeof(event->comm));
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

/* TODO: this is one act of six; who does it, and does the policy forbid it? `ret` is what was said before. */
SEC("lsm/bpf")
int BPF_PROG(on_bpf, int cmd, union bpf_attr *attr, unsigned int size, int ret)
{
	return ret ? ret : forbidden(ACT_BPF);
}
