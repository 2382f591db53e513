// SPDX-License-Identifier: GPL-2.0-only
/* A scheduler: all tasks in one queue, as the kernel does where ops has nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "programs.h"

struct task_struct;

/* The members that are used; libbpf finds them by name in the running kernel's types. */
struct sched_ext_ops {
	void (*running)(struct task_struct *task);
	char name[128];
};

struct seen seen;

SEC("struct_ops")
int running(void *ctx)
{
	__sync_fetch_and_add(&seen.times, 1);
	return 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops ops = {
	.running = (void *)running,
	.name = "klab",
};

char _license[] SEC("license") = "GPL";
