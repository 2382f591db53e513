// SPDX-License-Identifier: GPL-3.0-or-later
/* The side in user space: loads the programs, keeps the policy. guard.h says what each function does. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "guard.h"
#include "guard.skel.h"

static struct guard *programs;
static struct ring_buffer *ring;

static int take(void *context, void *data, size_t size)
{
	const struct event *event = data;

	(void)context;
	(void)size;
	report(event->act, event->pid, event->denied, event->comm);
	return 0;
}

int guard_start(const char *cgroup, const struct policy *policy)
{
	int error;

	/* TODO: which cgroup, and what of the policy. */
	(void)cgroup;
	programs = guard__open();
	if (!programs)
		return -errno;
	error = guard__load(programs);
	if (error)
		return error;
	ring = ring_buffer__new(bpf_map__fd(programs->maps.ring), take, NULL, NULL);
	if (!ring)
		return -errno;
	error = guard_policy(policy);
	if (error)
		return error;
	return guard__attach(programs);
}

int guard_policy(const struct policy *policy)
{
	/* TODO: bring what has changed into the maps, without a hole in between. */
	(void)policy;
	return 0;
}

int guard_poll(int ms)
{
	return ring_buffer__poll(ring, ms);
}
