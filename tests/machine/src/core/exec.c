// SPDX-License-Identifier: GPL-3.0-or-later
// Loads the BPF program, runs /bin/true, and prints what the kernel reported about it.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "event.h"
#include "exec.skel.h"

static pid_t child;
static int seen;

static int on_event(void *context, void *data, size_t size)
{
	const struct event *event = data;

	if (event->pid == child) {
		printf("file=%s parent_is_me=%d\n", event->file, event->parent == getpid());
		seen = 1;
	}
	return 0;
}

int main(void)
{
	struct exec_bpf *skel = exec_bpf__open_and_load();
	struct ring_buffer *events;

	if (!skel || exec_bpf__attach(skel))
		return 2;
	events = ring_buffer__new(bpf_map__fd(skel->maps.events), on_event, NULL, NULL);
	if (!events)
		return 3;
	child = fork();
	if (child == 0) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	waitpid(child, NULL, 0);
	for (int tries = 0; tries < 50 && !seen; tries++)
		ring_buffer__poll(events, 100);
	exec_bpf__destroy(skel);
	return seen ? 0 : 4;
}
