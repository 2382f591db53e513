// SPDX-License-Identifier: GPL-2.0-only
/*
 * The smallest scheduler: all tasks in the kernel's one shared queue, first come, first
 * served. It only counts how often a task starts to run.
 */
#define SEC(name) __attribute__((section(name), used))

struct task_struct;

/* The members that are used; libbpf finds them by name in the running kernel's types. */
struct sched_ext_ops {
	void (*running)(struct task_struct *task);
	char name[128];
};

unsigned long long started;

SEC("struct_ops/running")
int running(unsigned long long *context)
{
	__sync_fetch_and_add(&started, 1);
	return 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops klab = {
	.running = (void *)running,
	.name = "klab",
};

SEC("license")
char _license[] = "GPL";
