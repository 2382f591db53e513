// SPDX-License-Identifier: GPL-2.0-only
/* Programs that hook in by the kernel's type information, and read its structures by it. */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include "programs.h"

#define CO_RE __attribute__((preserve_access_index))

struct seq_file;

/* The members that are used: CO-RE finds their places in the running kernel. */
struct task_struct {
	int tgid;
} CO_RE;

struct bpf_iter_meta {
	struct seq_file *seq;
} CO_RE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} CO_RE;

struct seen seen;

static __always_inline void count(struct task_struct *task)
{
	if (task->tgid == seen.pid)
		__sync_fetch_and_add(&seen.times, 1);
}

SEC("?fentry/__x64_sys_getpgid")
int fentry(void *ctx)
{
	count(bpf_get_current_task_btf());
	return 0;
}

SEC("?tp_btf/sched_process_fork")
int tp_btf(unsigned long long *ctx)
{
	count((struct task_struct *)ctx[0]);
	return 0;
}

SEC("?lsm/bprm_check_security")
int lsm(void *ctx)
{
	__sync_fetch_and_add(&seen.times, 1);
	return -EPERM;
}

SEC("?iter/task")
int iter(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task && task->tgid == seen.pid) {
		count(task);
		bpf_seq_write(ctx->meta->seq, "task", 4);
	}
	return 0;
}

char _license[] SEC("license") = "GPL";
