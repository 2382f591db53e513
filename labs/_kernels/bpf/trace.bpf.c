// SPDX-License-Identifier: GPL-2.0-only
/* Programs that watch kernel and processes, and need no type information. */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>
#include "programs.h"

struct seen seen;

static __always_inline int count(void)
{
	if (bpf_get_current_pid_tgid() >> 32 == seen.pid)
		__sync_fetch_and_add(&seen.times, 1);
	return 0;
}

SEC("?ksyscall/getpgid")
int kprobe(void *ctx)
{
	return count();
}

SEC("?kprobe.multi/*sys_getpgid")
int kprobe_multi(void *ctx)
{
	return count();
}

SEC("?tracepoint/sched/sched_process_fork")
int tracepoint(void *ctx)
{
	return count();
}

SEC("?raw_tracepoint/sched_process_fork")
int raw_tracepoint(void *ctx)
{
	return count();
}

SEC("?uprobe")
int uprobe(void *ctx)
{
	return count();
}

SEC("?usdt")
int usdt(void *ctx)
{
	return count();
}

SEC("?perf_event")
int perf_event(void *ctx)
{
	return count();
}

char _license[] SEC("license") = "GPL";
